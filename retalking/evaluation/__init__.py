"""The paper's tables: dub lists of pairs, measure them, and print figures beside published ones."""
