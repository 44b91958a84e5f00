package dermpack.demo;

import android.app.Activity;
import android.os.Bundle;
import android.text.TextUtils;
import dermpack.skin.Contract;
import dermpack.skin.SkinClassifier;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The screen about the model: texts from its contract. */
public final class CardActivity extends Activity {
    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        Sections sections = new Sections(this, R.string.card_title);
        Contract contract;
        try {
            contract = SkinClassifier.readContract(this);
        } catch (IOException | RuntimeException error) {
            sections.head(getString(R.string.no_model, Problems.describe(error)), R.color.failed);
            return;
        }
        sections.add(
                R.string.card_model,
                getString(
                        R.string.card_model_text,
                        contract.getName(),
                        contract.getVersion(),
                        contract.getRecipe(),
                        contract.getSize()));
        sections.add(R.string.card_labels, described(contract, contract.getLabels()));
        sections.add(R.string.card_not_missed, described(contract, contract.getLabelsNotToMiss()));
        sections.add(R.string.card_use, contract.getIntendedUse());
        sections.add(R.string.card_licence, contract.getLicense());
        sections.add(R.string.card_more, getString(R.string.card_more_text));
    }

    /** A line for each label: "melanoma (mel)", or the label alone if the contract does not describe it. */
    private String described(Contract contract, List<String> labels) {
        List<String> lines = new ArrayList<String>();
        for (String label : labels) {
            String meaning = contract.getMeaning(label);
            lines.add(meaning.equals(label) ? label : getString(R.string.with_label, meaning, label));
        }
        return TextUtils.join("\n", lines);
    }
}
