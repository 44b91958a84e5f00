package dermpack.demo;

import android.content.Context;
import android.net.Uri;
import android.os.Handler;
import android.os.Looper;
import dermpack.skin.Result;
import dermpack.skin.SkinClassifier;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Looks at pictures on one thread of its own, and answers on the main one. */
final class Looker {
    private static final int MAX_PICTURE_BYTES = 64 << 20;
    private static final int CHUNK_BYTES = 1 << 16;

    /** Who waits for an answer. */
    interface Watcher {
        void onResult(byte[] file, Result result);

        void onProblem(String problem);
    }

    private final Context context;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final ExecutorService worker = Executors.newSingleThreadExecutor();
    private volatile Watcher watcher;
    private SkinClassifier classifier; // of the worker alone

    Looker(Context context, Watcher watcher) {
        this.context = context;
        this.watcher = watcher;
    }

    /** Reads a picture and says what the model takes it for. */
    void look(final Uri uri) {
        worker.execute(new Runnable() {
            @Override
            public void run() {
                answer(uri);
            }
        });
    }

    /** Answers nothing any more; the model is closed after the picture that is being looked at. */
    void close() {
        watcher = null;
        worker.execute(new Runnable() {
            @Override
            public void run() {
                if (classifier != null) {
                    classifier.close();
                }
            }
        });
        worker.shutdown();
    }

    private void answer(Uri uri) {
        try {
            open();
        } catch (IOException | RuntimeException error) {
            problem(context.getString(R.string.no_model, said(error)));
            return;
        }
        try {
            byte[] file = bytes(uri);
            result(file, classifier.classify(file));
        } catch (IOException | RuntimeException | OutOfMemoryError error) {
            problem(context.getString(R.string.unreadable, said(error)));
        }
    }

    private void open() throws IOException {
        if (classifier == null) {
            classifier = SkinClassifier.open(context);
        }
    }

    private byte[] bytes(Uri uri) throws IOException {
        InputStream stream = context.getContentResolver().openInputStream(uri);
        if (stream == null) {
            throw new IOException(uri.toString());
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

    private void result(final byte[] file, final Result result) {
        main.post(new Runnable() {
            @Override
            public void run() {
                Watcher waiting = watcher;
                if (waiting != null) {
                    waiting.onResult(file, result);
                }
            }
        });
    }

    private void problem(final String problem) {
        main.post(new Runnable() {
            @Override
            public void run() {
                Watcher waiting = watcher;
                if (waiting != null) {
                    waiting.onProblem(problem);
                }
            }
        });
    }

    private static String said(Throwable error) {
        return error.getMessage() == null ? error.getClass().getSimpleName() : error.getMessage();
    }
}
