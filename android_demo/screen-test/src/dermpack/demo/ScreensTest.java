package dermpack.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import android.app.Activity;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.text.Layout;
import android.view.View;
import android.view.ViewGroup;
import android.widget.EditText;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.ParameterizedRobolectricTestRunner;
import org.robolectric.Robolectric;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** Six states of the app on four phones: drawn, checked and saved as pictures. */
@RunWith(ParameterizedRobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h891dp-420dpi")
public final class ScreensTest {
    private final String phone;
    private final String qualifiers;
    private final float fontScale;

    @ParameterizedRobolectricTestRunner.Parameters(name = "{0}")
    public static List<Object[]> phones() {
        return Arrays.asList(
                new Object[] {"phone", "w411dp-h891dp-420dpi", 1f},
                new Object[] {"dark", "w411dp-h891dp-night-420dpi", 1f},
                new Object[] {"small", "w320dp-h480dp-xhdpi", 2f},
                new Object[] {"wide", "w891dp-h411dp-land-420dpi", 1f});
    }

    public ScreensTest(String phone, String qualifiers, float fontScale) {
        this.phone = phone;
        this.qualifiers = qualifiers;
        this.fontScale = fontScale;
    }

    @Test
    public void start() throws Exception {
        try (ActivityController<MainActivity> on = open(MainActivity.class)) {
            Phone.requireOnScreen(on.get().findViewById(R.id.take));
            assertFalse("no keyboard covers it", on.get().getCurrentFocus() instanceof EditText);
            save("start", on.get());
        }
    }

    @Test
    public void sure() throws Exception {
        try (ActivityController<MainActivity> on = open(MainActivity.class)) {
            Phone.ask(on.get(), Phone.picture("sure.jpg"));
            requireNoticeBesideTheAnswer(on.get());
            save("sure", on.get());
            draw("whole", ((ViewGroup) on.get().findViewById(R.id.scroll)).getChildAt(0));
        }
    }

    @Test
    public void unsure() throws Exception {
        try (ActivityController<MainActivity> on = open(MainActivity.class)) {
            Phone.ask(on.get(), Phone.picture("unsure.jpg"));
            requireNoticeBesideTheAnswer(on.get());
            save("unsure", on.get());
        }
    }

    @Test
    public void problem() throws Exception {
        try (ActivityController<MainActivity> on = open(MainActivity.class)) {
            Phone.ask(on.get(), new byte[] {1, 2, 3});
            Phone.requireOnScreen(on.get().findViewById(R.id.problem));
            assertFalse(Phone.isShown(on.get(), R.id.answer));
            save("problem", on.get());
        }
    }

    @Test
    public void check() throws Exception {
        try (ActivityController<CheckActivity> on = open(CheckActivity.class)) {
            Phone.await(() -> !Phone.isShown(on.get(), R.id.progress));
            assertTrue(Phone.text(on.get(), R.id.head).startsWith("PASS"));
            save("check", on.get());
        }
    }

    @Test
    public void card() throws Exception {
        try (ActivityController<CardActivity> on = open(CardActivity.class)) {
            assertEquals("opens at its top", 0, on.get().findViewById(R.id.scroll).getScrollY());
            Phone.requireOnScreen(on.get().findViewById(R.id.notice));
            save("card", on.get());
        }
    }

    private <T extends Activity> ActivityController<T> open(Class<T> screen) {
        RuntimeEnvironment.setQualifiers(qualifiers);
        RuntimeEnvironment.setFontScale(fontScale);
        return Robolectric.buildActivity(screen).setup();
    }

    /** Directly above the label, both whole on the screen. */
    private static void requireNoticeBesideTheAnswer(Activity activity) {
        View notice = activity.findViewById(R.id.notice);
        View label = activity.findViewById(R.id.label);
        Phone.requireOnScreen(notice);
        Phone.requireOnScreen(label);
        List<View> order = Phone.shown(activity.getWindow().getDecorView());
        assertEquals("the label follows the notice", order.indexOf(notice) + 1, order.indexOf(label));
        assertTrue(order.indexOf(notice) < order.indexOf(activity.findViewById(R.id.latency)));
    }

    private void save(String state, Activity activity) throws Exception {
        Phone.settle();
        View root = activity.getWindow().getDecorView();
        Bitmap bitmap = draw(state, root);
        for (View view : Phone.shown(root)) {
            if (view instanceof TextView && !(view instanceof EditText)) { // a field that is empty has a hint
                requireWholeText((TextView) view);
            }
        }
        assertEquals(Collections.emptyList(), Accessibility.problems(root, bitmap));
    }

    /** Draws a view, also where it is not on the screen, into a file. */
    private Bitmap draw(String state, View view) throws Exception {
        Bitmap bitmap = Bitmap.createBitmap(view.getWidth(), view.getHeight(), Bitmap.Config.ARGB_8888);
        Canvas canvas = new Canvas(bitmap);
        canvas.drawColor(view.getContext().getColor(R.color.page));
        view.draw(canvas);
        File into = new File(System.getProperty("screens"), state + "-" + phone + ".png");
        into.getParentFile().mkdirs();
        try (FileOutputStream stream = new FileOutputStream(into)) {
            assertTrue(bitmap.compress(Bitmap.CompressFormat.PNG, 100, stream));
        }
        return bitmap;
    }

    private static void requireWholeText(TextView view) {
        String text = view.getText().toString();
        assertFalse("an empty text takes the focus of TalkBack", text.isEmpty());
        Layout layout = view.getLayout();
        int room = view.getHeight() - view.getCompoundPaddingTop() - view.getCompoundPaddingBottom();
        assertTrue("cut: " + text, layout.getHeight() <= room);
        for (int line = 0; line < layout.getLineCount(); line++) {
            assertEquals("shortened: " + text, 0, layout.getEllipsisCount(line));
            int end = layout.getLineEnd(line);
            boolean isInsideOfWord = end < text.length() && Character.isLetter(text.charAt(end))
                    && Character.isLetter(text.charAt(end - 1));
            assertFalse("a word breaks: " + text, isInsideOfWord);
        }
    }
}
