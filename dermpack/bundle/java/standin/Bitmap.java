package android.graphics;

import java.awt.image.BufferedImage;

/** Stands in for Android's own: a picture of the desktop's. */
public class Bitmap {
    private final BufferedImage image;

    public Bitmap(BufferedImage image) {
        this.image = image;
    }

    public int getWidth() {
        return image.getWidth();
    }

    public int getHeight() {
        return image.getHeight();
    }

    public void getPixels(int[] into, int offset, int stride, int x, int y, int width, int height) {
        image.getRGB(x, y, width, height, into, offset, stride);
    }

    public void recycle() {}

    /** How pixels are kept. */
    public enum Config {
        ARGB_8888
    }
}
