package dermpack.demo;

import android.graphics.Bitmap;
import android.view.View;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityCheckPreset;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityCheckResult.AccessibilityCheckResultType;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityHierarchyCheck;
import com.google.android.apps.common.testing.accessibility.framework.AccessibilityHierarchyCheckResult;
import com.google.android.apps.common.testing.accessibility.framework.Parameters;
import com.google.android.apps.common.testing.accessibility.framework.checks.ImageContrastCheck;
import com.google.android.apps.common.testing.accessibility.framework.checks.RedundantDescriptionCheck;
import com.google.android.apps.common.testing.accessibility.framework.uielement.AccessibilityHierarchyAndroid;
import com.google.android.apps.common.testing.accessibility.framework.utils.contrast.BitmapImage;
import java.util.ArrayList;
import java.util.List;

/** Google's accessibility checks (ATF 3.1) of what is on the screen. */
final class Accessibility {
    private Accessibility() {}

    /** The errors and warnings, one line each. */
    static List<String> problems(View root, Bitmap screen) {
        Parameters parameters = new Parameters();
        parameters.putScreenCapture(new BitmapImage(screen));
        AccessibilityHierarchyAndroid hierarchy = AccessibilityHierarchyAndroid.newBuilder(root).build();
        List<String> problems = new ArrayList<>();
        for (AccessibilityHierarchyCheck check : AccessibilityCheckPreset.getAccessibilityHierarchyChecksForPreset(
                AccessibilityCheckPreset.LATEST)) {
            if (check instanceof RedundantDescriptionCheck || check instanceof ImageContrastCheck) {
                continue; // the first needs resources that are not packaged; the second checks the photograph
            }
            for (AccessibilityHierarchyCheckResult result : check.runCheckOnHierarchy(hierarchy, null, parameters)) {
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
}
