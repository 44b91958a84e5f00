package dermpack.demo;

import android.content.Context;
import android.graphics.Rect;
import android.text.TextUtils;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.ImageView;
import android.widget.ProgressBar;
import android.widget.TextView;
import dermpack.skin.Result;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Fills the card with the answer: layout/answer.xml. */
final class AnswerViews {
    private static final int SHOWN_LABELS = 3;

    private final View card;
    private final Context context;

    AnswerViews(View card) {
        this.card = card;
        this.context = card.getContext();
    }

    /** Scrolls until the top of a view is at the top of the screen, if it or its lower end is not visible. */
    static void scrollTo(View scroll, View view) {
        Rect seen = new Rect();
        boolean isWhole = view.getLocalVisibleRect(seen) && seen.height() == view.getHeight();
        if (!isWhole) {
            Rect place = new Rect(0, 0, view.getWidth(), view.getHeight());
            ((ViewGroup) scroll).offsetDescendantRectToMyCoords(view, place);
            scroll.scrollTo(0, place.top);
        }
    }

    void show(Answer answer) {
        Result result = answer.result;
        Result.Score sure = result.getAnswerOrNull();
        setText(R.id.label, sure == null ? context.getString(refusal(result)) : sure.getMeaning());
        setText(R.id.why, sure == null ? context.getString(why(result)) : "");
        // Probabilities and evidence for a picture that the model does not know mean nothing.
        boolean isMeaningful = result.getFault() == null && result.isFamiliar();
        showCalled(isMeaningful ? result.getCalled() : Collections.<Result.Score>emptyList());
        showBars(result.top(SHOWN_LABELS));
        ((ImageView) card.findViewById(R.id.square)).setImageBitmap(answer.square);
        show(isMeaningful, R.id.scores, R.id.bars);
        show(isMeaningful && answer.evidence != null, R.id.evidence_title, R.id.evidence, R.id.evidence_hint);
        ((ImageView) card.findViewById(R.id.evidence)).setImageBitmap(answer.evidence);
        String top = result.getTop().getMeaning();
        ((TextView) card.findViewById(R.id.evidence_hint)).setText(context.getString(R.string.evidence_hint, top));
        setText(R.id.square_size, context.getString(R.string.square_size, answer.square.getWidth()));
        setText(
                R.id.latency,
                context.getString(
                        R.string.latency,
                        result.getTiming().getDecodeMs(),
                        result.getTiming().getResizeMs(),
                        result.getTiming().getInvokeMs()));
    }

    private static int refusal(Result result) {
        if (result.getFault() == null) {
            return result.isFamiliar() ? R.string.not_sure : R.string.unlike;
        }
        switch (result.getFault()) {
            case DARK:
                return R.string.dark;
            case OVEREXPOSED:
                return R.string.overexposed;
            default:
                return R.string.blurred;
        }
    }

    /** What to do about a refusal. */
    private static int why(Result result) {
        if (result.getFault() != null) {
            return R.string.fault_why;
        }
        return result.isFamiliar() ? R.string.not_sure_why : R.string.unlike_why;
    }

    private void showBars(List<Result.Score> scores) {
        ViewGroup bars = (ViewGroup) card.findViewById(R.id.bars);
        bars.removeAllViews();
        for (Result.Score score : scores) {
            View row = LayoutInflater.from(context).inflate(R.layout.bar, bars, false);
            int percent = (int) Math.round(100 * score.getProbability());
            ((TextView) row.findViewById(R.id.score)).setText(score.getMeaning());
            ((TextView) row.findViewById(R.id.share)).setText(context.getString(R.string.percent, percent));
            ((ProgressBar) row.findViewById(R.id.bar)).setProgress((int) Math.round(1000 * score.getProbability()));
            bars.addView(row);
        }
    }

    private void showCalled(List<Result.Score> called) {
        List<String> labels = new ArrayList<String>();
        for (Result.Score score : called) {
            labels.add(score.getMeaning());
        }
        int text = labels.size() > 1 ? R.string.called_more : R.string.called;
        setText(R.id.called, labels.isEmpty() ? "" : context.getString(text, TextUtils.join(", ", labels)));
    }

    private void show(boolean isShown, int... ids) {
        for (int id : ids) {
            card.findViewById(id).setVisibility(isShown ? View.VISIBLE : View.GONE);
        }
    }

    /** A text that is empty takes no place. */
    private void setText(int id, String text) {
        TextView view = (TextView) card.findViewById(id);
        view.setText(text);
        view.setVisibility(text.isEmpty() ? View.GONE : View.VISIBLE);
    }
}
