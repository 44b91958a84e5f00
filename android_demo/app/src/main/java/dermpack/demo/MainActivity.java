package dermpack.demo;

import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.ClipData;
import android.content.Intent;
import android.graphics.BitmapFactory;
import android.net.Uri;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.View;
import android.widget.Button;
import android.widget.ImageView;
import android.widget.LinearLayout;
import android.widget.ProgressBar;
import android.widget.TextView;
import dermpack.skin.Result;
import java.util.ArrayList;
import java.util.List;

/** Choose or take a picture, and see what the model says of it. */
public final class MainActivity extends Activity implements Looker.Watcher {
    private static final int PICK = 1;
    private static final int TAKE = 2;
    private static final int SHOWN_LABELS = 3;
    private static final int LARGEST_PREVIEW = 1024;

    private Looker looker;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.main);
        looker = new Looker(getApplicationContext(), this);
        onClick(R.id.pick, new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                pick();
            }
        });
        onClick(R.id.take, new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                take();
            }
        });
        onClick(R.id.check, new Opener(CheckActivity.class));
        onClick(R.id.card, new Opener(CardActivity.class));
    }

    @Override
    protected void onDestroy() {
        looker.close();
        super.onDestroy();
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        super.onActivityResult(request, result, data);
        if (result != RESULT_OK) {
            return;
        }
        Uri uri = request == TAKE ? PictureProvider.URI : data == null ? null : data.getData();
        if (uri != null) {
            say(getString(R.string.working));
            looker.look(uri);
        }
    }

    /** What to do about a refusal. */
    private static int why(Result result) {
        if (result.getFault() != null) {
            return R.string.fault_why;
        }
        return result.isFamiliar() ? R.string.not_sure_why : R.string.unlike_why;
    }

    @Override
    public void onResult(byte[] file, Result result) {
        showPicture(file);
        show(R.id.hint, false);
        show(R.id.answer, true);
        String refusal = result.getRefusal();
        setText(R.id.label, refusal == null ? result.getTop().getLabel() : refusal);
        setText(R.id.why, refusal == null ? "" : getString(why(result)));
        showBars(result.top(SHOWN_LABELS));
        showCalled(result.getCalled());
        setText(
                R.id.latency,
                getString(
                        R.string.latency,
                        result.getTiming().getDecodeMs(),
                        result.getTiming().getResizeMs(),
                        result.getTiming().getInvokeMs()));
    }

    @Override
    public void onProblem(String problem) {
        say(problem);
    }

    private void pick() {
        Intent intent = new Intent(Intent.ACTION_GET_CONTENT);
        intent.addCategory(Intent.CATEGORY_OPENABLE);
        intent.setType("image/*");
        start(intent, PICK);
    }

    /** The camera app may write one file of ours, and nothing else. */
    private void take() {
        int rights = Intent.FLAG_GRANT_WRITE_URI_PERMISSION | Intent.FLAG_GRANT_READ_URI_PERMISSION;
        Intent intent = new Intent(MediaStore.ACTION_IMAGE_CAPTURE);
        intent.putExtra(MediaStore.EXTRA_OUTPUT, PictureProvider.URI);
        intent.setClipData(ClipData.newRawUri("", PictureProvider.URI));
        intent.addFlags(rights);
        start(intent, TAKE);
    }

    private void start(Intent intent, int request) {
        try {
            startActivityForResult(intent, request);
        } catch (ActivityNotFoundException missing) {
            say(getString(R.string.no_camera));
        }
    }

    /** A picture of the screen's size at most; the model looks at the file itself. */
    private void showPicture(byte[] file) {
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeByteArray(file, 0, file.length, options);
        options.inJustDecodeBounds = false;
        options.inSampleSize = Math.max(1, Math.max(options.outWidth, options.outHeight) / LARGEST_PREVIEW);
        ImageView view = (ImageView) findViewById(R.id.picture);
        view.setImageBitmap(
                Upright.of(BitmapFactory.decodeByteArray(file, 0, file.length, options), file));
        view.setVisibility(View.VISIBLE);
    }

    private void showBars(List<Result.Score> scores) {
        LinearLayout bars = (LinearLayout) findViewById(R.id.bars);
        bars.removeAllViews();
        for (Result.Score score : scores) {
            View row = getLayoutInflater().inflate(R.layout.bar, bars, false);
            int percent = (int) Math.round(100 * score.getProbability());
            ((TextView) row.findViewById(R.id.score)).setText(getString(R.string.score, score.getLabel(), percent));
            ((ProgressBar) row.findViewById(R.id.bar)).setProgress((int) Math.round(1000 * score.getProbability()));
            bars.addView(row);
        }
    }

    private void showCalled(List<Result.Score> called) {
        List<String> labels = new ArrayList<String>();
        for (Result.Score score : called) {
            labels.add(score.getLabel());
        }
        String listed = android.text.TextUtils.join(", ", labels);
        setText(R.id.called, labels.isEmpty() ? "" : getString(R.string.called, listed));
    }

    private void say(String text) {
        show(R.id.answer, false);
        show(R.id.hint, true);
        setText(R.id.hint, text);
    }

    /** A text that is empty takes no place. */
    private void setText(int id, String text) {
        ((TextView) findViewById(id)).setText(text);
        show(id, !text.isEmpty());
    }

    private void show(int id, boolean isShown) {
        findViewById(id).setVisibility(isShown ? View.VISIBLE : View.GONE);
    }

    private void onClick(int id, View.OnClickListener listener) {
        ((Button) findViewById(id)).setOnClickListener(listener);
    }

    private final class Opener implements View.OnClickListener {
        private final Class<? extends Activity> screen;

        Opener(Class<? extends Activity> screen) {
            this.screen = screen;
        }

        @Override
        public void onClick(View view) {
            startActivity(new Intent(MainActivity.this, screen));
        }
    }
}
