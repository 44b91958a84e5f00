package dermpack.demo;

import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.ClipData;
import android.content.Intent;
import android.net.Uri;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.View;
import android.view.ViewGroup;
import android.widget.ImageView;
import android.widget.TextView;
import dermpack.skin.Metadata;
import dermpack.skin.MetadataColumn;
import dermpack.skin.SkinClassifier;
import java.io.IOException;
import java.util.Collections;
import java.util.List;

/** Choose or take a picture, and see the answer of the model. */
public final class MainActivity extends Activity implements PictureWorker.Watcher, View.OnClickListener {
    private static final int PICK = 1;
    private static final int TAKE = 2;
    private static final String PICTURE = "picture";

    private PictureWorker worker;
    private MetadataForm form;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.main);
        for (int id : new int[] {R.id.pick, R.id.take, R.id.again, R.id.check, R.id.card}) {
            findViewById(id).setOnClickListener(this);
        }
        ((ImageView) findViewById(R.id.picture)).setClipToOutline(true);
        form = new MetadataForm((ViewGroup) findViewById(R.id.form), columns());
        Object kept = getLastNonConfigurationInstance();
        worker = kept instanceof PictureWorker ? (PictureWorker) kept : new PictureWorker(getApplicationContext());
        worker.watch(this);
    }

    /** After the end of the process the address of the picture is left, and what the form contained. */
    @Override
    protected void onPostCreate(Bundle saved) {
        super.onPostCreate(saved);
        Uri picture = saved == null || worker.getUri() != null ? null : saved.<Uri>getParcelable(PICTURE);
        if (picture != null) {
            classify(picture);
        }
    }

    /** Rotation, dark mode and text size create the screen again; the answer stays. */
    @Override
    public Object onRetainNonConfigurationInstance() {
        return worker;
    }

    @Override
    protected void onSaveInstanceState(Bundle into) {
        super.onSaveInstanceState(into);
        into.putParcelable(PICTURE, worker.getUri());
    }

    @Override
    protected void onDestroy() {
        worker.watch(null);
        if (!isChangingConfigurations()) {
            worker.close();
        }
        super.onDestroy();
    }

    @Override
    public void onClick(View view) {
        int id = view.getId();
        if (id == R.id.pick) {
            pick();
        } else if (id == R.id.take) {
            take();
        } else if (id == R.id.again) {
            classify(worker.getUri());
        } else {
            startActivity(new Intent(this, id == R.id.check ? CheckActivity.class : CardActivity.class));
        }
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        super.onActivityResult(request, result, data);
        if (result != RESULT_OK) {
            return;
        }
        Uri uri = request == TAKE ? PictureProvider.URI : data == null ? null : data.getData();
        if (uri != null) {
            classify(uri);
        }
    }

    @Override
    public void onWorking() {
        showMessage(getString(R.string.working), true);
    }

    @Override
    public void onProblem(String problem) {
        showMessage(problem, false);
    }

    @Override
    public void onAnswer(Answer answer) {
        show(R.id.progress, false);
        show(R.id.problem, false);
        show(R.id.hero, false);
        show(R.id.hint, false);
        ImageView picture = (ImageView) findViewById(R.id.picture);
        picture.setImageBitmap(answer.preview);
        show(R.id.picture, true);
        new AnswerViews(findViewById(R.id.answer)).show(answer);
        show(R.id.answer, true);
        show(R.id.again, findViewById(R.id.form).getVisibility() == View.VISIBLE && worker.getUri() != null);
        // On a small screen the picture would leave no place for the answer.
        findViewById(R.id.scroll).post(new Runnable() {
            @Override
            public void run() {
                AnswerViews.scrollTo(findViewById(R.id.scroll), findViewById(R.id.verdict));
            }
        });
    }

    /** The fields of the patient; none if the contract cannot be read, which the first picture reports. */
    private List<MetadataColumn> columns() {
        try {
            return SkinClassifier.readContract(this).getMetadataColumns();
        } catch (IOException | RuntimeException error) {
            return Collections.emptyList();
        }
    }

    private void classify(Uri picture) {
        Metadata metadata = form.read();
        if (metadata != null) {
            worker.classify(picture, metadata);
        }
    }

    private void pick() {
        Intent intent = new Intent(Intent.ACTION_GET_CONTENT);
        intent.addCategory(Intent.CATEGORY_OPENABLE);
        intent.setType("image/*");
        start(intent, PICK, R.string.no_picker);
    }

    /** The camera app may write one file of ours, and nothing else. */
    private void take() {
        int rights = Intent.FLAG_GRANT_WRITE_URI_PERMISSION | Intent.FLAG_GRANT_READ_URI_PERMISSION;
        Intent intent = new Intent(MediaStore.ACTION_IMAGE_CAPTURE);
        intent.putExtra(MediaStore.EXTRA_OUTPUT, PictureProvider.URI);
        intent.setClipData(ClipData.newRawUri("", PictureProvider.URI));
        intent.addFlags(rights);
        start(intent, TAKE, R.string.no_camera);
    }

    private void start(Intent intent, int request, int missing) {
        try {
            startActivityForResult(intent, request);
        } catch (ActivityNotFoundException none) {
            worker.report(getString(missing));
        }
    }

    private void showMessage(String text, boolean isWorking) {
        show(R.id.answer, false);
        show(R.id.picture, false);
        show(R.id.hero, true);
        show(R.id.hint, true);
        show(R.id.progress, isWorking);
        ((TextView) findViewById(R.id.problem)).setText(text);
        show(R.id.problem, true);
        findViewById(R.id.scroll).scrollTo(0, 0);
    }

    private void show(int id, boolean isShown) {
        findViewById(id).setVisibility(isShown ? View.VISIBLE : View.GONE);
    }
}
