package dermpack.bundle;

/** A decoded picture as it is stored, before its orientation is applied. */
interface Raster {
    int getWidth();

    int getHeight();

    /** Fills `into` with ARGB, not premultiplied, row by row without gaps. */
    void read(int[] into, int left, int top, int width, int height);
}
