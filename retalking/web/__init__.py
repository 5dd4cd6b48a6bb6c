"""The page in the browser: jobs that are kept, done one after the other, and shown."""
