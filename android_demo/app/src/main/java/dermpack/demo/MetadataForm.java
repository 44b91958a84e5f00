package dermpack.demo;

import android.content.Context;
import android.text.InputType;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.ArrayAdapter;
import android.widget.EditText;
import android.widget.Spinner;
import android.widget.TextView;
import dermpack.skin.Metadata;
import dermpack.skin.MetadataColumn;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The form for the metadata of the patient: a field for each column of the contract; each can stay blank. */
final class MetadataForm {
    private static final int FIRST_ID = 0x10000; // the same after a rotation, so that Android keeps what was entered

    private final List<MetadataColumn> columns;
    private final List<View> fields = new ArrayList<View>();

    MetadataForm(ViewGroup place, List<MetadataColumn> columns) {
        this.columns = columns;
        place.setVisibility(columns.isEmpty() ? View.GONE : View.VISIBLE);
        for (int i = 0; i < columns.size(); i++) {
            MetadataColumn column = columns.get(i);
            View row = LayoutInflater.from(place.getContext())
                    .inflate(column.isNumeric() ? R.layout.number : R.layout.choice, place, false);
            TextView title = (TextView) row.findViewById(R.id.field_title);
            View field = row.findViewById(R.id.field);
            title.setText(titled(column.getName()));
            field.setId(FIRST_ID + i);
            title.setLabelFor(field.getId());
            if (column.isNumeric()) {
                ((EditText) field).setHint(range(place.getContext(), column));
                ((EditText) field).setInputType(InputType.TYPE_CLASS_NUMBER | InputType.TYPE_NUMBER_FLAG_DECIMAL);
            } else {
                ((Spinner) field).setAdapter(choices(place.getContext(), column));
            }
            fields.add(field);
            place.addView(row);
        }
    }

    /** What was entered; null if a number is out of its range, which the field then shows. */
    Metadata read() {
        Metadata metadata = Metadata.blank();
        for (int i = 0; i < fields.size() && metadata != null; i++) {
            metadata = columns.get(i).isNumeric()
                    ? withNumber(metadata, columns.get(i), (EditText) fields.get(i))
                    : withChoice(metadata, columns.get(i), (Spinner) fields.get(i));
        }
        return metadata;
    }

    private static Metadata withNumber(Metadata metadata, MetadataColumn column, EditText field) {
        String text = field.getText().toString().trim();
        field.setError(null);
        if (text.isEmpty()) {
            return metadata;
        }
        try {
            double number = Double.parseDouble(text);
            if (column.getMinimum() <= number && number <= column.getMaximum()) {
                return metadata.with(column.getName(), number);
            }
        } catch (NumberFormatException error) {
            // Reported below: a keyboard for numbers also lets other texts through.
        }
        field.setError(range(field.getContext(), column));
        field.requestFocus();
        return null;
    }

    private static Metadata withChoice(Metadata metadata, MetadataColumn column, Spinner field) {
        int chosen = field.getSelectedItemPosition() - 1; // the first one is "not known"
        return chosen < 0 ? metadata : metadata.with(column.getName(), column.getCategories().get(chosen));
    }

    /** The name of a column as people write it: body_site → Body site. */
    private static String titled(String name) {
        String words = name.replace('_', ' ');
        return words.substring(0, 1).toUpperCase(Locale.ROOT) + words.substring(1);
    }

    private static String range(Context context, MetadataColumn column) {
        return context.getString(R.string.range, column.getMinimum(), column.getMaximum());
    }

    private static ArrayAdapter<String> choices(Context context, MetadataColumn column) {
        List<String> choices = new ArrayList<String>();
        choices.add(context.getString(R.string.not_known));
        choices.addAll(column.getCategories());
        ArrayAdapter<String> adapter =
                new ArrayAdapter<String>(context, android.R.layout.simple_spinner_item, choices);
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        return adapter;
    }
}
