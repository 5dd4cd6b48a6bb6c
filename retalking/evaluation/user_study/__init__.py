"""The paper's user study: a page of videos to rate, and what the ratings say."""
