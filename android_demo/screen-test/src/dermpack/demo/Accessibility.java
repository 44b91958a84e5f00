package dermpack.demo;

import android.graphics.Bitmap;
import android.view.View;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityCheckPreset;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityCheckResult.AccessibilityCheckResultType;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityHierarchyCheck;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityHierarchyCheckResult;
import com.google.android.apps.common.testing.accessibility.framework.Parameters;
import com.google.android.apps.common.testing.accessibility.framework.checks.DuplicateSpeakableTextCheck;
import com.google.android.apps.common.testing.accessibility.framework.checks.ImageContrastCheck;
import com.google.android.apps.common.testing.accessibility.framework.checks.RedundantDescriptionCheck;
import com.google.android.apps.common.testing.accessibility.framework.uielement.AccessibilityHierarchyAndroid;
import com.google.android.apps.common.testing.accessibility.framework.uielement.ViewHierarchyElement;
import com.google.android.apps.common.testing.accessibility.framework.utils.contrast.BitmapImage;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Google's accessibility checks (ATF 3.1) of what is on the screen. */
final class Accessibility {
    private Accessibility() {}

    /** The errors and warnings, one line each. */
    static List<String> problems(View root, Bitmap screen) {
        Parameters parameters = new Parameters();
        parameters.putScreenCapture(new BitmapImage(screen));
        AccessibilityHierarchyAndroid hierarchy = AccessibilityHierarchyAndroid.newBuilder(root).build();
        List<String> problems = new ArrayList<>();
        Set<String> labels = labels(hierarchy);
        for (AccessibilityHierarchyCheck check : AccessibilityCheckPreset.getAccessibilityHierarchyChecksForPreset(
                AccessibilityCheckPreset.LATEST)) {
            if (check instanceof RedundantDescriptionCheck || check instanceof ImageContrastCheck) {
                continue; // the first needs resources that are not packaged; the second checks the photograph
            }
            for (AccessibilityHierarchyCheckResult result : check.runCheckOnHierarchy(hierarchy, null, parameters)) {
                if (check instanceof DuplicateSpeakableTextCheck
                        && labels.contains(result.getMetadata().getString(DuplicateSpeakableTextCheck.KEY_SPEAKABLE_TEXT))) {
                    continue; // a field is spoken with the title that is its label, which is what labels are for
                }
                boolean isProblem = result.getType() == AccessibilityCheckResultType.ERROR
                        || result.getType() == AccessibilityCheckResultType.WARNING;
                if (isProblem) {
                    String where = result.getElement() == null
                            ? "" : result.getElement().getResourceName() + " " + result.getElement().getText();
                    problems.add(result.getType() + " " + check.getClass().getSimpleName() + " " + result.getResultId()
                            + " " + where + " " + result.getMetadata());
                }
            }
        }
        return problems;
    }

    /** The texts of the views that are the labels of fields. */
    private static Set<String> labels(AccessibilityHierarchyAndroid hierarchy) {
        Set<String> labels = new HashSet<>();
        for (ViewHierarchyElement view : hierarchy.getActiveWindow().getAllViews()) {
            if (view.getLabeledBy() != null) {
                labels.add(String.valueOf(view.getLabeledBy().getText()));
            }
        }
        return labels;
    }
}
