package dermpack.bundle;

import java.util.Locale;

/** How long the parts of one answer took. */
public final class Timing {
    private static final double NANOS_PER_MILLI = 1e6;

    private final long decodeNanos;
    private final long resizeNanos;
    private final long invokeNanos;

    Timing(long decodeNanos, long resizeNanos, long invokeNanos) {
        this.decodeNanos = decodeNanos;
        this.resizeNanos = resizeNanos;
        this.invokeNanos = invokeNanos;
    }

    /** Of the file; 0 where a decoded picture was given. */
    public double getDecodeMs() {
        return decodeNanos / NANOS_PER_MILLI;
    }

    public double getResizeMs() {
        return resizeNanos / NANOS_PER_MILLI;
    }

    public double getInvokeMs() {
        return invokeNanos / NANOS_PER_MILLI;
    }

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT, "decode %.1f ms, resize %.1f ms, model %.1f ms", getDecodeMs(), getResizeMs(), getInvokeMs());
    }
}
