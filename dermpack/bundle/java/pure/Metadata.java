package dermpack.bundle;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What is known about the patient of a picture; a field that is not set is blank.
 *
 * <p>{@code Metadata.blank().with("age", 34).with("sex", "female")}
 */
public final class Metadata {
    private static final Metadata BLANK = new Metadata(new LinkedHashMap<String, Object>());

    private final Map<String, Object> values;

    private Metadata(Map<String, Object> values) {
        this.values = values;
    }

    /** Nothing is known. */
    public static Metadata blank() {
        return BLANK;
    }

    /** The same with a number in a field. */
    public Metadata with(String field, double value) {
        return plus(field, value);
    }

    /** The same with a category in a field; null leaves it blank. */
    public Metadata with(String field, @Nullable String category) {
        return plus(field, category);
    }

    private Metadata plus(String field, @Nullable Object value) {
        Map<String, Object> more = new LinkedHashMap<String, Object>(values);
        more.remove(field);
        if (value != null) {
            more.put(field, value);
        }
        return new Metadata(more);
    }

    /** The numbers of the input; an IllegalArgumentException names a field or a value that the model lacks. */
    float[] row(List<MetadataColumn> columns) {
        int width = 0;
        Map<String, Object> left = new LinkedHashMap<String, Object>(values);
        for (MetadataColumn column : columns) {
            width += column.slots();
            left.remove(column.getName());
        }
        if (!left.isEmpty()) {
            throw new IllegalArgumentException("the model has no field " + left.keySet().iterator().next());
        }
        float[] row = new float[width];
        int next = 0;
        for (MetadataColumn column : columns) {
            next = column.encode(values.get(column.getName()), row, next);
        }
        return row;
    }
}
