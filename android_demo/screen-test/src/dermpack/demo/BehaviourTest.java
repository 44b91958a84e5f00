package dermpack.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNotSame;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.app.Application;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.RectF;
import android.graphics.drawable.BitmapDrawable;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.View;
import android.view.ViewGroup;
import android.widget.EditText;
import android.widget.ImageView;
import android.widget.ProgressBar;
import android.widget.Spinner;
import android.widget.TextView;
import dermpack.skin.Answers;
import dermpack.skin.MetadataColumn;
import dermpack.skin.Quality;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.shadows.ShadowActivity;

/** What each screen does. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h891dp-420dpi")
public final class BehaviourTest {
    private static final double READABLE = 3; // contrast of anything but text, WCAG 1.4.11

    @Test
    public void theCameraAppWritesOneFileThatIsClassified() throws Exception {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            MainActivity activity = on.get();
            activity.findViewById(R.id.take).performClick();
            ShadowActivity.IntentForResult asked = shadowOf(activity).getNextStartedActivityForResult();
            assertEquals(PictureProvider.URI, asked.intent.getParcelableExtra(MediaStore.EXTRA_OUTPUT));
            int rights = Intent.FLAG_GRANT_READ_URI_PERMISSION | Intent.FLAG_GRANT_WRITE_URI_PERMISSION;
            assertEquals(rights, asked.intent.getFlags() & rights);
            try (OutputStream into = activity.getContentResolver().openOutputStream(PictureProvider.URI)) {
                into.write(Phone.picture("sure.jpg"));
            }
            shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, null);
            Phone.await(() -> Phone.isShown(activity, R.id.answer));
            assertEquals("melanocytic nevus, a mole", Phone.text(activity, R.id.label));
        }
    }

    @Test
    public void aMissingAppIsNamed() {
        shadowOf((Application) RuntimeEnvironment.getApplication()).checkActivities(true);
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            on.get().findViewById(R.id.take).performClick();
            assertEquals(on.get().getString(R.string.no_camera), Phone.text(on.get(), R.id.problem));
            on.get().findViewById(R.id.pick).performClick();
            assertEquals(on.get().getString(R.string.no_picker), Phone.text(on.get(), R.id.problem));
            assertTrue(Phone.isShown(on.get(), R.id.problem));
        }
    }

    @Test
    public void theButtonsOpenTheOtherScreensAndBackLeavesThem() {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            assertEquals(CheckActivity.class.getName(), opened(on.get(), R.id.check));
            assertEquals(CardActivity.class.getName(), opened(on.get(), R.id.card));
        }
        try (ActivityController<CardActivity> on = Robolectric.buildActivity(CardActivity.class).setup()) {
            on.get().findViewById(R.id.back).performClick();
            assertTrue(on.get().isFinishing());
        }
    }

    @Test
    public void peopleReadTheMeaningsOfTheLabels() throws Exception {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.ask(on.get(), Phone.picture("sure.jpg"));
            String texts = Phone.texts(on.get());
            assertTrue(texts, texts.contains("melanocytic nevus, a mole\n"));
            assertFalse(texts, texts.matches("(?s).*\\b(nv|bkl|vasc)\\b.*"));
        }
        try (ActivityController<CardActivity> on = Robolectric.buildActivity(CardActivity.class).setup()) {
            assertTrue(Phone.texts(on.get()).contains("melanocytic nevus, a mole (nv)"));
        }
    }

    @Test
    public void labelsThatMustNotBeMissedAreShownEvenIfNotSure() {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Bitmap square = Bitmap.createBitmap(4, 4, Bitmap.Config.ARGB_8888);
            on.get().onAnswer(new Answer(square, square, null, Answers.called("mel", "bcc")));
            assertEquals("Do not miss: mel, bcc reach their thresholds.", Phone.text(on.get(), R.id.called));
            assertEquals(on.get().getString(R.string.not_sure), Phone.text(on.get(), R.id.label));
        }
    }

    @Test
    public void aRefusalIsShownInsteadOfALabel() {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Bitmap square = Bitmap.createBitmap(4, 4, Bitmap.Config.ARGB_8888);
            on.get().onAnswer(new Answer(square, square, null, Answers.refused(false, null)));
            assertEquals("Unlike the pictures this model was trained on", Phone.text(on.get(), R.id.label));
            assertEquals(on.get().getString(R.string.unlike_why), Phone.text(on.get(), R.id.why));
            for (int id : new int[] {R.id.called, R.id.scores, R.id.bars, R.id.evidence}) {
                assertFalse(Phone.isShown(on.get(), id));
            }
            on.get().onAnswer(new Answer(square, square, null, Answers.refused(false, Quality.Fault.BLURRED)));
            assertEquals("The picture is too blurred", Phone.text(on.get(), R.id.label));
            assertEquals(on.get().getString(R.string.fault_why), Phone.text(on.get(), R.id.why));
        }
    }

    @Test
    public void theFormAsksWhatTheModelKnowsAndAllOfItCanStayBlank() {
        List<MetadataColumn> columns = Answers.columns(
                "{\"name\": \"age\", \"kind\": \"numeric\", \"mean\": 50, \"std\": 10, \"minimum\": 0, \"maximum\": 90}",
                "{\"name\": \"sex\", \"kind\": \"categorical\", \"categories\": [\"female\", \"male\"]}");
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            assertFalse(Phone.isShown(on.get(), R.id.form)); // of a model without metadata
            ViewGroup place = (ViewGroup) on.get().findViewById(R.id.form);
            int given = place.getChildCount();
            MetadataForm form = new MetadataForm(place, columns);
            Phone.settle();
            assertTrue(Phone.isShown(on.get(), R.id.form));
            assertArrayEquals(new float[] {0, 1, 0, 0, 1}, Answers.row(form.read(), columns), 0);
            assertTrue(Phone.texts(on.get()).contains("Age\n"));
            EditText age = (EditText) ((ViewGroup) place.getChildAt(given)).getChildAt(1);
            Spinner sex = (Spinner) ((ViewGroup) place.getChildAt(given + 1)).getChildAt(1);
            age.setText("60");
            sex.setSelection(2);
            assertArrayEquals(new float[] {1, 0, 0, 1, 0}, Answers.row(form.read(), columns), 0);
            age.setText("150");
            assertNull(form.read());
            assertEquals("0 to 90", age.getError().toString());
            View root = on.get().getWindow().getDecorView();
            Bitmap drawn = Bitmap.createBitmap(root.getWidth(), root.getHeight(), Bitmap.Config.ARGB_8888);
            root.draw(new Canvas(drawn));
            assertEquals(Collections.emptyList(), Accessibility.problems(root, drawn));
        }
    }

    @Test
    public void whereTheAnswerComesFromIsDrawnOverTheSquare() {
        Bitmap square = Bitmap.createBitmap(64, 64, Bitmap.Config.ARGB_8888);
        new Canvas(square).drawColor(Color.WHITE);
        Bitmap drawn = EvidenceOverlay.draw(square, Answers.evidence(2, 2, 4, -4, 0, 0), 0);
        int left = drawn.getPixel(4, 4);
        int right = drawn.getPixel(60, 4);
        assertTrue("orange counts for it", Color.red(left) > Color.blue(left) + 80);
        assertTrue("violet counts against it", Color.blue(right) > Color.green(right) + 40);
        assertEquals(Color.WHITE, drawn.getPixel(4, 60));
        assertTrue(square.sameAs(EvidenceOverlay.draw(square, Answers.evidence(1, 1, 0), 0)));
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            on.get().onAnswer(new Answer(square, square, null, Answers.called("mel")));
            assertFalse(Phone.isShown(on.get(), R.id.evidence)); // of a model that does not return it
            on.get().onAnswer(new Answer(square, square, drawn, Answers.called("mel")));
            assertTrue(Phone.isShown(on.get(), R.id.evidence));
            assertTrue(Phone.text(on.get(), R.id.evidence_hint).contains("mel"));
        }
    }

    @Test
    public void aSmallPictureFillsItsFrame() throws Exception {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.ask(on.get(), Phone.picture("small.jpg"));
            ImageView view = (ImageView) on.get().findViewById(R.id.picture);
            BitmapDrawable drawable = (BitmapDrawable) view.getDrawable();
            RectF drawn = new RectF(0, 0, drawable.getIntrinsicWidth(), drawable.getIntrinsicHeight());
            view.getImageMatrix().mapRect(drawn);
            assertEquals(view.getHeight(), drawn.height(), 1);
        }
    }

    @Test
    public void theTrackOfABarIsVisible() throws Exception {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.ask(on.get(), Phone.picture("sure.jpg"));
            View row = ((ViewGroup) on.get().findViewById(R.id.bars)).getChildAt(1);
            ProgressBar bar = (ProgressBar) row.findViewById(R.id.bar);
            float density = bar.getResources().getDisplayMetrics().density;
            assertTrue(bar.getHeight() >= 12 * density - 1);
            Bitmap drawn = Bitmap.createBitmap(bar.getWidth(), bar.getHeight(), Bitmap.Config.ARGB_8888);
            Canvas canvas = new Canvas(drawn);
            canvas.drawColor(on.get().getColor(R.color.card));
            bar.draw(canvas);
            int middle = bar.getHeight() / 2;
            int track = drawn.getPixel(bar.getWidth() * 3 / 4, middle);
            int outline = drawn.getPixel(bar.getWidth() * 3 / 4, 1);
            int filled = drawn.getPixel((int) (6 * density), middle);
            assertEquals(on.get().getColor(R.color.track), track);
            assertTrue(contrast(outline, on.get().getColor(R.color.card)) >= READABLE);
            assertTrue(contrast(filled, track) >= READABLE);
        }
    }

    @Test
    public void rotationDarkModeAndTextSizeKeepPictureAndAnswer() throws Exception {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.ask(on.get(), Phone.picture("sure.jpg"));
            for (String qualifiers : new String[] {"+land", "+night"}) {
                MainActivity before = on.get();
                RuntimeEnvironment.setQualifiers(qualifiers);
                on.configurationChange(RuntimeEnvironment.getApplication().getResources().getConfiguration());
                on.visible();
                Phone.settle();
                assertNotSame(before, on.get());
                requireAnswer(on.get());
            }
            on.recreate();
            requireAnswer(on.get());
        }
    }

    @Test
    public void afterTheEndOfTheProcessThePictureIsClassifiedAgain() throws Exception {
        Bundle saved = new Bundle();
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.ask(on.get(), Phone.picture("sure.jpg"));
            on.saveInstanceState(saved);
        }
        Phone.offer(RuntimeEnvironment.getApplication(), Phone.picture("sure.jpg"));
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup(saved)) {
            Phone.await(() -> Phone.isShown(on.get(), R.id.answer));
            requireAnswer(on.get());
        }
    }

    @Test
    public void anAnswerThatComesDuringARotationIsShown() throws Exception {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.choose(on.get(), Phone.picture("sure.jpg"));
            assertTrue(Phone.isShown(on.get(), R.id.progress));
            on.recreate();
            Phone.await(() -> Phone.isShown(on.get(), R.id.answer));
            requireAnswer(on.get());
        }
    }

    @Test
    public void thePreviewIsDecodedOffTheMainThread() throws Exception {
        byte[] file = Phone.picture("sure.jpg");
        assertThrows(IllegalStateException.class, () -> Previews.of(file));
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.ask(on.get(), file);
            requireAnswer(on.get());
        }
    }

    @Test
    public void talkBackFindsHeadingsAndHearsMessages() throws Exception {
        try (ActivityController<MainActivity> on = Robolectric.buildActivity(MainActivity.class).setup()) {
            Phone.ask(on.get(), Phone.picture("unsure.jpg"));
            assertTrue(headings(on.get()).contains(on.get().getString(R.string.app_name)));
            assertTrue(headings(on.get()).contains(on.get().getString(R.string.not_sure)));
            assertEquals("Answer", on.get().findViewById(R.id.answer).getAccessibilityPaneTitle());
            for (int id : new int[] {R.id.message, R.id.verdict}) {
                assertEquals(View.ACCESSIBILITY_LIVE_REGION_POLITE, on.get().findViewById(id).getAccessibilityLiveRegion());
            }
        }
        try (ActivityController<CardActivity> on = Robolectric.buildActivity(CardActivity.class).setup()) {
            assertTrue(headings(on.get()).size() >= 5);
        }
    }

    @Test
    public void theSelfCheckShowsProgressAndNoEmptyText() {
        try (ActivityController<CheckActivity> on = Robolectric.buildActivity(CheckActivity.class).setup()) {
            assertTrue(Phone.isShown(on.get(), R.id.progress));
            assertEquals(on.get().getString(R.string.check_running), Phone.text(on.get(), R.id.head));
            for (View view : Phone.shown(on.get().getWindow().getDecorView())) {
                assertFalse(view instanceof TextView && ((TextView) view).getText().length() == 0);
            }
            on.recreate();
            Phone.await(() -> !Phone.isShown(on.get(), R.id.progress));
            assertTrue(Phone.text(on.get(), R.id.head).contains("56 checks"));
            assertTrue(Phone.texts(on.get()).contains("4 threads: "));
        }
    }

    private static String opened(Activity activity, int button) {
        activity.findViewById(button).performClick();
        return shadowOf(activity).getNextStartedActivity().getComponent().getClassName();
    }

    private static void requireAnswer(Activity activity) {
        assertTrue(Phone.isShown(activity, R.id.answer));
        assertEquals("melanocytic nevus, a mole", Phone.text(activity, R.id.label));
        assertNotNull(((ImageView) activity.findViewById(R.id.picture)).getDrawable());
    }

    private static List<String> headings(Activity activity) {
        List<String> headings = new ArrayList<>();
        for (View view : Phone.shown(activity.getWindow().getDecorView())) {
            if (view.isAccessibilityHeading()) {
                headings.add(((TextView) view).getText().toString());
            }
        }
        return headings;
    }

    private static double contrast(int first, int second) {
        double one = Color.luminance(first) + 0.05;
        double other = Color.luminance(second) + 0.05;
        return Math.max(one, other) / Math.min(one, other);
    }
}
