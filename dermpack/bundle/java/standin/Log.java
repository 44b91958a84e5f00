package android.util;

/** Stands in for Android's own. */
public class Log {
    public static int w(String tag, String message, Throwable error) {
        return 0;
    }
}
