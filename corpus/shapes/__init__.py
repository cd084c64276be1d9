"""The embedded corpus: drawn videos of coloured shapes, with sound, sentences and every moment where each is true."""
