package dermpack.bundle;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A field of what is known about a patient: a number of a range, or one of several categories. */
public final class MetadataColumn {
    private final String name;
    private final boolean isNumeric;
    private final double mean;
    private final double std;
    private final double minimum;
    private final double maximum;
    private final List<String> categories;

    MetadataColumn(Json.Node column) {
        name = column.get("name").text();
        isNumeric = column.get("kind").text().equals("numeric");
        mean = isNumeric ? column.get("mean").number() : 0;
        std = isNumeric ? column.get("std").number() : 1;
        minimum = isNumeric ? column.get("minimum").number() : 0;
        maximum = isNumeric ? column.get("maximum").number() : 0;
        List<String> found = new ArrayList<String>();
        if (!isNumeric) {
            for (Json.Node category : column.get("categories").items()) {
                found.add(category.text());
            }
        }
        categories = Collections.unmodifiableList(found);
    }

    public String getName() {
        return name;
    }

    /** Whether the field is a number; if not, it is one of the categories. */
    public boolean isNumeric() {
        return isNumeric;
    }

    /** The least number that the model was trained on. */
    public double getMinimum() {
        return minimum;
    }

    /** The greatest number that the model was trained on. */
    public double getMaximum() {
        return maximum;
    }

    /** The categories that the model was trained on; empty for a number. */
    public List<String> getCategories() {
        return categories;
    }

    /** How many numbers of the input belong to the field. */
    int slots() {
        return isNumeric ? 2 : categories.size() + 1;
    }

    /** Writes the numbers of a value, or of a blank field for null, from an index on; returns the next index. */
    int encode(@Nullable Object value, float[] row, int first) {
        if (isNumeric) {
            row[first] = value == null ? 0 : (float) ((number(value) - mean) / std);
            row[first + 1] = value == null ? 1 : 0;
            return first + 2;
        }
        // The last number is 1 for a blank field, so exactly one is 1.
        int chosen = value == null ? categories.size() : category(value);
        for (int i = 0; i <= categories.size(); i++) {
            row[first + i] = i == chosen ? 1 : 0;
        }
        return first + categories.size() + 1;
    }

    private double number(Object value) {
        if (!(value instanceof Double)) {
            throw new IllegalArgumentException(name + "=" + value + ": is not a number");
        }
        double number = (Double) value;
        if (!(minimum <= number && number <= maximum)) {
            throw new IllegalArgumentException(
                    name + "=" + value + ": is outside of " + minimum + " to " + maximum
                            + ", the values that the model was trained on; leave the field blank");
        }
        return number;
    }

    private int category(Object value) {
        int index = categories.indexOf(value);
        if (index < 0) {
            throw new IllegalArgumentException(
                    name + "=" + value + ": is not one of " + categories + "; leave the field blank");
        }
        return index;
    }
}
