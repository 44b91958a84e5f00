package dermpack.demo;

import android.app.Activity;
import android.content.Context;
import android.os.Bundle;
import android.os.Handler;
import android.os.Looper;
import android.widget.TextView;
import dermpack.skin.SelfCheck;
import dermpack.skin.SkinClassifier;
import java.io.IOException;
import java.util.List;

/** Runs the golden pictures on this very phone, and then times the model at 1, 2 and 4 threads. */
public final class CheckActivity extends Activity {
    private static final int[] THREADS = {1, 2, 4};
    private static final int ROUNDS = 50;

    private final Handler main = new Handler(Looper.getMainLooper());
    private volatile boolean isOpen = true;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.text);
        ((TextView) findViewById(R.id.title)).setText(R.string.check_title);
        show(getString(R.string.check_running), "", R.color.text);
        final Context context = getApplicationContext();
        new Thread(new Runnable() {
            @Override
            public void run() {
                check(context);
            }
        }, "self-check").start();
    }

    @Override
    protected void onDestroy() {
        isOpen = false;
        super.onDestroy();
    }

    private void check(Context context) {
        SkinClassifier.Variant variant = SkinClassifier.Variant.values()[0];
        try {
            String lines = checked(context);
            for (int threads : THREADS) {
                SkinClassifier classifier = SkinClassifier.open(context, variant, threads);
                double medianMs = classifier.medianInvokeMs(ROUNDS);
                classifier.close();
                lines += "\n" + (threads == 1
                        ? context.getString(R.string.check_time_one, medianMs, ROUNDS)
                        : context.getString(R.string.check_time, threads, medianMs, ROUNDS));
                post(null, lines, 0);
            }
        } catch (IOException | RuntimeException error) {
            post(context.getString(R.string.no_model, String.valueOf(error.getMessage())), "", R.color.failed);
        }
    }

    /** A line a check, the failed ones first, of every variant in the bundle. */
    private String checked(Context context) throws IOException {
        StringBuilder failed = new StringBuilder();
        StringBuilder passed = new StringBuilder();
        int failures = 0;
        int count = 0;
        for (SkinClassifier.Variant variant : SkinClassifier.Variant.values()) {
            SkinClassifier classifier = SkinClassifier.open(context, variant, 1);
            List<SelfCheck.Check> checks = classifier.selfCheck();
            classifier.close();
            for (SelfCheck.Check check : checks) {
                count++;
                failures += check.isPassed() ? 0 : 1;
                int line = check.isPassed() ? R.string.check_line_passed : R.string.check_line_failed;
                (check.isPassed() ? passed : failed)
                        .append(context.getString(line, check.getName(), check.getDetail()))
                        .append('\n');
            }
        }
        String head = failures == 0
                ? context.getString(R.string.check_passed, count)
                : context.getString(R.string.check_failed, failures, count);
        String lines = failed.append(passed).toString();
        post(head, lines, failures == 0 ? R.color.passed : R.color.failed);
        return lines;
    }

    private void post(final String head, final String lines, final int color) {
        main.post(new Runnable() {
            @Override
            public void run() {
                if (isOpen) {
                    show(head, lines, color);
                }
            }
        });
    }

    /** A head that is null stays as it is. */
    private void show(String head, String lines, int color) {
        if (head != null) {
            TextView view = (TextView) findViewById(R.id.head);
            view.setText(head);
            view.setTextColor(getColor(color));
        }
        ((TextView) findViewById(R.id.lines)).setText(lines);
    }
}
