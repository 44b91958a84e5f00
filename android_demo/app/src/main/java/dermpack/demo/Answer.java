package dermpack.demo;

import android.graphics.Bitmap;
import dermpack.skin.Result;

/** What the screen shows of one picture: made on the worker thread, never changed. */
final class Answer {
    final Bitmap preview;
    final Bitmap square;
    final Bitmap evidence; // null if the model does not return it
    final Result result;

    Answer(Bitmap preview, Bitmap square, Bitmap evidence, Result result) {
        this.preview = preview;
        this.square = square;
        this.evidence = evidence;
        this.result = result;
    }
}
