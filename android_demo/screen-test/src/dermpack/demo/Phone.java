package dermpack.demo;

import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.content.Context;
import android.content.Intent;
import android.graphics.Rect;
import android.net.Uri;
import android.os.Looper;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.robolectric.shadows.ShadowActivity;

/** What a user does and sees, on a screen that Android's own code laid out. */
final class Phone {
    private static final long LIMIT_NANOS = 60_000_000_000L;
    private static final Uri PICKED = Uri.parse("content://pictures/1");

    private Phone() {}

    static byte[] picture(String name) throws IOException {
        return Files.readAllBytes(new File(System.getProperty("pictures"), name).toPath());
    }

    /** Presses "Choose a picture", and chooses these bytes. */
    static void choose(Activity activity, byte[] file) {
        activity.findViewById(R.id.pick).performClick();
        ShadowActivity.IntentForResult asked = shadowOf(activity).getNextStartedActivityForResult();
        offer(activity, file);
        shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, new Intent().setData(PICKED));
    }

    /** Makes these bytes readable, once, at the address of the chosen picture. */
    static void offer(Context context, byte[] file) {
        shadowOf(context.getContentResolver()).registerInputStream(PICKED, new ByteArrayInputStream(file));
    }

    /** Chooses a picture and waits for its answer, or for the problem with it. */
    static void ask(Activity activity, byte[] file) {
        choose(activity, file);
        await(() -> activity.findViewById(R.id.progress).getVisibility() == View.GONE);
    }

    static void await(BooleanSupplier isDone) {
        long start = System.nanoTime();
        shadowOf(Looper.getMainLooper()).idle();
        while (!isDone.getAsBoolean()) {
            assertTrue("nothing happened for a minute", System.nanoTime() - start < LIMIT_NANOS);
            synchronized (Phone.class) {
                try {
                    Phone.class.wait(10); // the worker thread posts its answer to the main looper
                } catch (InterruptedException error) {
                    throw new IllegalStateException(error);
                }
            }
            shadowOf(Looper.getMainLooper()).idle();
        }
        settle();
    }

    /** Waits until everything is laid out, which Android does with the next frame. */
    static void settle() {
        shadowOf(Looper.getMainLooper()).idleFor(Duration.ofMillis(100));
    }

    static String text(Activity activity, int id) {
        return ((TextView) activity.findViewById(id)).getText().toString();
    }

    static boolean isShown(Activity activity, int id) {
        return activity.findViewById(id).isShown();
    }

    /** Every pixel of the view is on the screen, without scrolling. */
    static void requireOnScreen(View view) {
        Rect seen = new Rect();
        boolean isSeen = view.isShown() && view.getLocalVisibleRect(seen);
        Rect whole = new Rect(0, 0, view.getWidth(), view.getHeight());
        assertTrue(view + " has only " + seen + " on the screen", isSeen && seen.equals(whole));
    }

    /** All views that are shown, in the order in which TalkBack reads them. */
    static List<View> shown(View root) {
        List<View> views = new ArrayList<>();
        if (root.isShown()) {
            views.add(root);
            if (root instanceof ViewGroup) {
                ViewGroup group = (ViewGroup) root;
                for (int i = 0; i < group.getChildCount(); i++) {
                    views.addAll(shown(group.getChildAt(i)));
                }
            }
        }
        return views;
    }

    static String texts(Activity activity) {
        StringBuilder texts = new StringBuilder();
        for (View view : shown(activity.getWindow().getDecorView())) {
            if (view instanceof TextView) {
                texts.append(((TextView) view).getText()).append('\n');
            }
        }
        return texts.toString();
    }
}
