package dermpack.bundle;

import java.util.Locale;

/** The number type of an input or an output. */
enum NumberType {
    UINT8(1, 0),
    INT8(1, -128),
    FLOAT32(4, 0);

    private final int sizeBytes;
    private final int lowest;

    NumberType(int sizeBytes, int lowest) {
        this.sizeBytes = sizeBytes;
        this.lowest = lowest;
    }

    public int getSizeBytes() {
        return sizeBytes;
    }

    /** Of the 256 values of an 8-bit number. */
    int lowest() {
        return lowest;
    }

    static NumberType named(String name) {
        for (NumberType type : values()) {
            if (type.toString().equals(name)) {
                return type;
            }
        }
        throw new IllegalArgumentException("dtype is " + name + ", none of uint8, int8, float32");
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
