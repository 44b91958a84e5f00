package dermpack.demo;

import android.graphics.Bitmap;
import android.graphics.Matrix;
import dermpack.skin.Exif;

/** Turns a preview upright, for the eye; the model's own preparation does it exactly. */
final class Upright {
    private static final float[][] MATRICES = { // of EXIF's 1 to 8: x by x, x by y, y by x, y by y
        {1, 0, 0, 1}, {-1, 0, 0, 1}, {-1, 0, 0, -1}, {1, 0, 0, -1},
        {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, -1, 0}, {0, 1, -1, 0},
    };

    private Upright() {}

    static Bitmap of(Bitmap bitmap, byte[] file) {
        int number = Exif.orientation(file).getNumber();
        if (bitmap == null || number == 1) {
            return bitmap;
        }
        float[] turn = MATRICES[number - 1];
        Matrix matrix = new Matrix();
        matrix.setValues(new float[] {turn[0], turn[1], 0, turn[2], turn[3], 0, 0, 0, 1});
        return Bitmap.createBitmap(bitmap, 0, 0, bitmap.getWidth(), bitmap.getHeight(), matrix, true);
    }
}
