package dermpack.demo;

import android.content.Context;
import android.os.Handler;
import android.os.Looper;
import dermpack.skin.SelfCheck;
import dermpack.skin.SkinClassifier;
import java.io.FileNotFoundException;
import java.io.IOException;

/** One run of the self-check on a thread of its own; it outlives a screen that Android creates again. */
final class CheckRun implements Runnable {
    private static final int[] THREADS = {1, 2, 4};
    private static final int ROUNDS = 50;

    /** What the screen shows. */
    static final class State {
        final String head;
        final int color;
        final String lines;
        final String times;
        final boolean isDone;

        State(String head, int color, String lines, String times, boolean isDone) {
            this.head = head;
            this.color = color;
            this.lines = lines;
            this.times = times;
            this.isDone = isDone;
        }
    }

    /** The screen. */
    interface Watcher {
        void onChange(State state);
    }

    private final Context context;
    private final Handler main = new Handler(Looper.getMainLooper());
    private State state;
    private Watcher watcher;
    private volatile boolean isStopped; // the times are not needed after the screen was left

    private CheckRun(Context context) {
        this.context = context;
        this.state = new State(context.getString(R.string.check_running), R.color.text, "", "", false);
    }

    static CheckRun start(Context context) {
        CheckRun run = new CheckRun(context);
        new Thread(run, "self-check").start();
        return run;
    }

    /** Reports the state to this screen, now and after each change; null for no screen. */
    void watch(Watcher watcher) {
        this.watcher = watcher;
        if (watcher != null) {
            watcher.onChange(state);
        }
    }

    /** Measures no further times. */
    void stop() {
        isStopped = true;
    }

    @Override
    public void run() {
        try {
            State checked = check();
            post(checked);
            String times = "";
            for (int i = 0; i < THREADS.length && !isStopped; i++) {
                times += (i == 0 ? "" : "\n") + time(THREADS[i]);
                post(new State(checked.head, checked.color, checked.lines, times, i == THREADS.length - 1));
            }
        } catch (IOException | RuntimeException error) {
            String problem = context.getString(R.string.no_model, Problems.describe(error));
            post(new State(problem, R.color.failed, "", "", true));
        }
    }

    /** A line for each check of every variant in the bundle, the failed ones first. */
    private State check() throws IOException {
        StringBuilder failed = new StringBuilder();
        StringBuilder passed = new StringBuilder();
        int failures = 0;
        int count = 0;
        for (SkinClassifier.Variant variant : SkinClassifier.Variant.values()) {
            SkinClassifier classifier = SkinClassifier.open(context, variant, 1);
            try {
                for (SelfCheck.Check check : classifier.selfCheck()) {
                    count++;
                    failures += check.isPassed() ? 0 : 1;
                    int line = check.isPassed() ? R.string.check_line_passed : R.string.check_line_failed;
                    (check.isPassed() ? passed : failed)
                            .append(context.getString(line, check.getName(), check.getDetail()))
                            .append('\n');
                }
            } catch (FileNotFoundException none) {
                return new State(context.getString(R.string.check_none), R.color.text, "", "", false);
            } finally {
                classifier.close();
            }
        }
        String head = failures == 0
                ? context.getString(R.string.check_passed, count)
                : context.getString(R.string.check_failed, failures, count);
        String lines = failed.append(passed).toString().trim();
        return new State(head, failures == 0 ? R.color.passed : R.color.failed, lines, "", false);
    }

    private String time(int threads) throws IOException {
        SkinClassifier classifier = SkinClassifier.open(context, SkinClassifier.Variant.values()[0], threads);
        try {
            double medianMs = classifier.medianInvokeMs(ROUNDS);
            return context.getResources().getQuantityString(R.plurals.check_time, threads, threads, medianMs, ROUNDS);
        } finally {
            classifier.close();
        }
    }

    private void post(final State next) {
        main.post(new Runnable() {
            @Override
            public void run() {
                state = next;
                if (watcher != null) {
                    watcher.onChange(next);
                }
            }
        });
    }
}
