package dermpack.demo;

import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Paint;
import android.graphics.Rect;
import dermpack.skin.EvidenceMap;

/** Draws the evidence map over the square that the model saw: orange is for the label, violet against it. */
final class EvidenceOverlay {
    private static final int FOR = Color.rgb(230, 97, 1);
    private static final int AGAINST = Color.rgb(94, 60, 153);
    private static final int MOST_OPAQUE = 170;

    private EvidenceOverlay() {}

    /** The strongest place is the most opaque one; a map of zeros changes nothing. */
    static Bitmap draw(Bitmap square, EvidenceMap map, int label) {
        double strongest = 0;
        for (int row = 0; row < map.getHeight(); row++) {
            for (int column = 0; column < map.getWidth(); column++) {
                strongest = Math.max(strongest, Math.abs(map.at(row, column, label)));
            }
        }
        Bitmap drawn = square.copy(Bitmap.Config.ARGB_8888, true);
        if (strongest > 0) {
            Bitmap cells = cells(map, label, strongest);
            Rect whole = new Rect(0, 0, square.getWidth(), square.getHeight());
            new Canvas(drawn).drawBitmap(cells, null, whole, new Paint(Paint.FILTER_BITMAP_FLAG));
        }
        return drawn;
    }

    private static Bitmap cells(EvidenceMap map, int label, double strongest) {
        int[] pixels = new int[map.getHeight() * map.getWidth()];
        for (int i = 0; i < pixels.length; i++) {
            double value = map.at(i / map.getWidth(), i % map.getWidth(), label);
            int alpha = (int) Math.round(MOST_OPAQUE * Math.abs(value) / strongest);
            pixels[i] = alpha << 24 | (value > 0 ? FOR : AGAINST) & 0xFFFFFF;
        }
        return Bitmap.createBitmap(pixels, map.getWidth(), map.getHeight(), Bitmap.Config.ARGB_8888);
    }
}
