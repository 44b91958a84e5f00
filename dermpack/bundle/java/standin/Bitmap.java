package android.graphics;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;

/** Stands in for Android's own: a picture of the desktop's. */
public class Bitmap {
    private final BufferedImage image;
    private final Config config;

    public Bitmap(BufferedImage image) {
        this(image, Config.ARGB_8888);
    }

    private Bitmap(BufferedImage image, Config config) {
        this.image = image;
        this.config = config;
    }

    public int getWidth() {
        return image.getWidth();
    }

    public int getHeight() {
        return image.getHeight();
    }

    public void getPixels(int[] into, int offset, int stride, int x, int y, int width, int height) {
        if (config == Config.HARDWARE) {
            throw new IllegalStateException("unable to getPixels(), pixel access is not supported on Config#HARDWARE");
        }
        if (image.getColorModel().getColorSpace().getType() != ColorSpace.TYPE_GRAY) {
            image.getRGB(x, y, width, height, into, offset, stride);
            return;
        }
        for (int row = 0; row < height; row++) {
            for (int column = 0; column < width; column++) {
                into[offset + row * stride + column] = grey(x + column, y + row);
            }
        }
    }

    /** The sample itself, of 16 bits the high byte; getRGB would take greys for linear light. */
    private int grey(int x, int y) {
        Raster raster = image.getRaster();
        int shift = image.getColorModel().getComponentSize(0) - 8;
        int value = raster.getSample(x, y, 0) >> shift;
        int alpha = raster.getNumBands() > 1 ? raster.getSample(x, y, 1) >> shift : 255;
        return alpha << 24 | value << 16 | value << 8 | value;
    }

    public void recycle() {}

    public Config getConfig() {
        return config;
    }

    /** The same pixels, kept in another way. */
    public Bitmap copy(Config kept, boolean isMutable) {
        return new Bitmap(image, kept);
    }

    /** How pixels are kept. */
    public enum Config {
        ALPHA_8,
        RGB_565,
        ARGB_4444,
        ARGB_8888,
        RGBA_F16,
        HARDWARE
    }
}
