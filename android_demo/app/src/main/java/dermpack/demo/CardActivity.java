package dermpack.demo;

import android.app.Activity;
import android.os.Bundle;
import android.text.TextUtils;
import android.view.View;
import android.widget.TextView;
import dermpack.skin.Contract;
import dermpack.skin.SkinClassifier;
import java.io.IOException;

/** What the model is, in its contract's words. */
public final class CardActivity extends Activity {
    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.text);
        ((TextView) findViewById(R.id.title)).setText(R.string.card_title);
        findViewById(R.id.head).setVisibility(View.GONE);
        ((TextView) findViewById(R.id.lines)).setText(text());
    }

    private String text() {
        Contract contract;
        try {
            contract = SkinClassifier.readContract(this);
        } catch (IOException | RuntimeException error) {
            return getString(R.string.no_model, String.valueOf(error.getMessage()));
        }
        return getString(
                R.string.card_text,
                contract.getName(),
                contract.getVersion(),
                contract.getRecipe(),
                TextUtils.join(", ", contract.getLabels()),
                contract.getIntendedUse(),
                contract.getLicense(),
                contract.getSize());
    }
}
