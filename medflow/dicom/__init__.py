"""From files to series and their geometry: every file accounted for, every frame where its own header puts it."""
