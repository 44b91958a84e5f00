package dermpack.demo;

import android.app.Activity;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;

/** A screen of headings and texts: layout/text.xml. */
final class Sections {
    private final Activity screen;

    Sections(final Activity screen, int title) {
        this.screen = screen;
        screen.setContentView(R.layout.text);
        ((TextView) screen.findViewById(R.id.title)).setText(title);
        screen.findViewById(R.id.back).setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                screen.finish();
            }
        });
    }

    /** The line below the notice. */
    void head(String text, int color) {
        TextView view = (TextView) screen.findViewById(R.id.head);
        view.setText(text);
        view.setTextColor(screen.getColor(color));
        view.setVisibility(View.VISIBLE);
    }

    void progress(boolean isShown) {
        screen.findViewById(R.id.progress).setVisibility(isShown ? View.VISIBLE : View.GONE);
    }

    void clear() {
        list().removeAllViews();
    }

    /** A section; without text there is none, so that no empty view gets the focus. */
    void add(int heading, String text) {
        if (text.isEmpty()) {
            return;
        }
        ViewGroup list = list();
        screen.getLayoutInflater().inflate(R.layout.section, list, true);
        int count = list.getChildCount();
        ((TextView) list.getChildAt(count - 2)).setText(heading);
        ((TextView) list.getChildAt(count - 1)).setText(text);
    }

    private ViewGroup list() {
        return (ViewGroup) screen.findViewById(R.id.sections);
    }
}
