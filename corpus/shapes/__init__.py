"""The drawn corpus: videos of coloured shapes with sound, sentences, and every moment in which each sentence is true."""
