package dermpack.bundle;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** An input or an output: its numbers, and what they mean. */
final class Tensor {
    private static final double MOST_OFF = 0.02; // a zero point of 127 or 128 stands for 127.5

    private final String name;
    private final NumberType type;
    private final int numbers;
    private final double scale;
    private final int zeroPoint;

    Tensor(String name, NumberType type, int numbers, double scale, int zeroPoint) {
        this.name = name;
        this.type = type;
        this.numbers = numbers;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
    }

    /** As in the signature of the file and in model.json. */
    public String getName() {
        return name;
    }

    public NumberType getType() {
        return type;
    }

    /** The size of the buffer: numbers times bytes of a number. */
    public int getSizeBytes() {
        return numbers * type.getSizeBytes();
    }

    public double getScale() {
        return scale;
    }

    public int getZeroPoint() {
        return zeroPoint;
    }

    /** Throws for a buffer or a tensor of another size; the error of an interpreter would be less clear. */
    public void checkBytes(int bytes) {
        if (bytes != getSizeBytes()) {
            throw new IllegalArgumentException(
                    "the tensor " + name + " has " + bytes + " bytes, expected " + getSizeBytes() + ": "
                            + numbers + " numbers of " + type + ", as in model.json");
        }
    }

    /** A direct buffer in native byte order, as interpreters require it. */
    public ByteBuffer newBuffer() {
        return ByteBuffer.allocateDirect(getSizeBytes()).order(ByteOrder.nativeOrder());
    }

    /** A direct buffer with these bytes. */
    static ByteBuffer direct(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
        buffer.put(bytes);
        start(buffer);
        return buffer;
    }

    /** To the beginning of a full buffer; by Buffer's own method, which every Android and every Java has. */
    static void start(Buffer buffer) {
        buffer.clear();
    }

    /**
     * Writes samples as numbers of this input: (sample - mean) / std of the channel, then quantized. If the input
     * is planar, all samples of one channel come before those of the next one.
     */
    void feed(byte[] samples, double[] mean, double[] std, boolean isPlanar, ByteBuffer into) {
        checkBytes(into.capacity());
        start(into);
        int channels = mean.length;
        float[][] floats = new float[channels][];
        byte[][] bytes = new byte[channels][];
        for (int channel = 0; channel < channels; channel++) {
            floats[channel] = floatTable(mean[channel], std[channel]);
            bytes[channel] = byteTable(mean[channel], std[channel]);
        }
        int places = samples.length / channels;
        for (int i = 0; i < samples.length; i++) {
            int channel = isPlanar ? i / places : i % channels;
            if (type == NumberType.FLOAT32) {
                into.putFloat(floats[channel][samples[i] & 255]);
            } else {
                into.put(bytes[channel][samples[i] & 255]);
            }
        }
        start(into);
    }

    /** Real values of an input in its own numbers: the nearest step, ties to even. */
    void feed(float[] values, ByteBuffer into) {
        checkBytes(into.capacity());
        start(into);
        int lowest = type.lowest();
        for (float value : values) {
            if (type == NumberType.FLOAT32) {
                into.putFloat(value);
            } else {
                double step = scale == 0 ? value : Math.rint(value / scale) + zeroPoint;
                into.put((byte) (int) Math.min(Math.max(step, lowest), lowest + 255));
            }
        }
        start(into);
    }

    /** Real values of an output: 128 at scale 1/256 and zero point 0 is 0.5. */
    double[] real(ByteBuffer output) {
        checkBytes(output.capacity());
        start(output);
        double[] values = new double[numbers];
        for (int i = 0; i < numbers; i++) {
            values[i] = type == NumberType.FLOAT32 ? output.getFloat() : dequantized(output.get());
        }
        return values;
    }

    private double dequantized(byte raw) {
        int number = type == NumberType.UINT8 ? raw & 255 : raw;
        return scale == 0 ? number : (number - zeroPoint) * scale;
    }

    private static float[] floatTable(double mean, double std) {
        float[] table = new float[256];
        for (int pixel = 0; pixel < 256; pixel++) {
            table[pixel] = (float) ((pixel - mean) / std);
        }
        return table;
    }

    /** A pixel itself where the input is one, else the nearest step, ties to even. */
    private byte[] byteTable(double mean, double std) {
        int lowest = type.lowest();
        boolean isRaw = scale == 0 || isPixels(lowest, (0 - mean) / std, (255 - mean) / std);
        byte[] table = new byte[256];
        for (int pixel = 0; pixel < 256; pixel++) {
            double step = isRaw ? pixel + lowest : Math.rint((pixel - mean) / std / scale) + zeroPoint;
            table[pixel] = (byte) (int) Math.min(Math.max(step, lowest), lowest + 255);
        }
        return table;
    }

    /** Whether the numbers of this input stand for these real values of the pixels 0 and 255. */
    private boolean isPixels(int lowest, double low, double high) {
        double first = (lowest - zeroPoint) * scale;
        double last = (lowest + 255 - zeroPoint) * scale;
        return Math.max(Math.abs(first - low), Math.abs(last - high)) <= MOST_OFF * (high - low);
    }
}
