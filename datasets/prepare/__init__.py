"""From videos to prepared stores: lists of clips, cutting, offsets of speech, added references."""
