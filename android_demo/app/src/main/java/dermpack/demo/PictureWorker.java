package dermpack.demo;

import android.content.Context;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Handler;
import android.os.Looper;
import dermpack.skin.EvidenceMap;
import dermpack.skin.Metadata;
import dermpack.skin.Result;
import dermpack.skin.SkinClassifier;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Classifies pictures on one thread of its own, and keeps the last state for the screen.
 *
 * <p>It outlives a screen that Android creates again after a rotation or in another text size. Call all
 * methods on the main thread.
 */
final class PictureWorker {
    private static final int MAX_PICTURE_BYTES = 64 << 20;
    private static final int CHUNK_BYTES = 1 << 16;

    /** The screen. */
    interface Watcher {
        void onWorking();

        void onAnswer(Answer answer);

        void onProblem(String problem);
    }

    private final Context context;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final ExecutorService executor = Executors.newSingleThreadExecutor();
    private SkinClassifier classifier; // used by the thread of the executor alone
    private Watcher watcher;
    private Uri uri;
    private int requests; // so far
    private boolean isWorking;
    private Answer answer;
    private String problem;

    PictureWorker(Context context) {
        this.context = context;
    }

    /** Reports the state to this screen, now and after each change; null for no screen. */
    void watch(Watcher watcher) {
        this.watcher = watcher;
        report();
    }

    /** The picture that was given last, or null. */
    Uri getUri() {
        return uri;
    }

    /** Reads a picture and classifies it, with what is known about the patient. */
    void classify(final Uri picture, final Metadata metadata) {
        uri = picture;
        final int number = ++requests;
        set(true, null, null);
        executor.execute(new Runnable() {
            @Override
            public void run() {
                work(picture, metadata, number);
            }
        });
    }

    /** Shows a problem instead of an answer. */
    void report(String problem) {
        set(false, null, problem);
    }

    /** Reports nothing any more; the model is closed after the picture that is being classified. */
    void close() {
        watcher = null;
        executor.execute(new Runnable() {
            @Override
            public void run() {
                if (classifier != null) {
                    classifier.close();
                }
            }
        });
        executor.shutdown();
    }

    private void set(boolean isWorking, Answer answer, String problem) {
        this.isWorking = isWorking;
        this.answer = answer;
        this.problem = problem;
        report();
    }

    private void report() {
        if (watcher == null) {
            return;
        }
        if (isWorking) {
            watcher.onWorking();
        } else if (answer != null) {
            watcher.onAnswer(answer);
        } else if (problem != null) {
            watcher.onProblem(problem);
        }
    }

    private void work(Uri picture, Metadata metadata, int number) {
        try {
            if (classifier == null) {
                classifier = SkinClassifier.open(context);
            }
        } catch (IOException | RuntimeException error) {
            done(number, null, context.getString(R.string.no_model, Problems.describe(error)));
            return;
        }
        try {
            byte[] file = bytes(picture);
            Result result = classifier.classify(file, metadata);
            Bitmap square = Previews.square(result.getPixels(), classifier.getContract().getSize());
            done(number, new Answer(Previews.of(file), square, evidence(square, result), result), null);
        } catch (IOException | RuntimeException | OutOfMemoryError error) {
            done(number, null, context.getString(R.string.unreadable, Problems.describe(error)));
        }
    }

    /** Where the most probable label comes from; null if the model does not return it. */
    private Bitmap evidence(Bitmap square, Result result) {
        EvidenceMap map = result.getEvidence();
        int label = classifier.getContract().getLabels().indexOf(result.getTop().getLabel());
        return map == null ? null : EvidenceOverlay.draw(square, map, label);
    }

    /** Of two pictures in quick succession, only the last one is shown. */
    private void done(final int number, final Answer answer, final String problem) {
        main.post(new Runnable() {
            @Override
            public void run() {
                if (number == requests) {
                    set(false, answer, problem);
                }
            }
        });
    }

    private byte[] bytes(Uri picture) throws IOException {
        InputStream stream = context.getContentResolver().openInputStream(picture);
        if (stream == null) {
            throw new IOException(picture.toString());
        }
        try {
            ByteArrayOutputStream into = new ByteArrayOutputStream();
            byte[] chunk = new byte[CHUNK_BYTES];
            for (int count = stream.read(chunk); count >= 0; count = stream.read(chunk)) {
                into.write(chunk, 0, count);
                if (into.size() > MAX_PICTURE_BYTES) {
                    throw new IOException("more than " + (MAX_PICTURE_BYTES >> 20) + " MB");
                }
            }
            return into.toByteArray();
        } finally {
            stream.close();
        }
    }
}
