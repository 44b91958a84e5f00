package dermpack.demo;

import android.app.Activity;
import android.os.Bundle;

/** Runs the golden pictures on this phone, and then times the model at 1, 2 and 4 threads. */
public final class CheckActivity extends Activity implements CheckRun.Watcher {
    private Sections sections;
    private CheckRun run;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        sections = new Sections(this, R.string.check_title);
        Object kept = getLastNonConfigurationInstance();
        run = kept instanceof CheckRun ? (CheckRun) kept : CheckRun.start(getApplicationContext());
        run.watch(this);
    }

    @Override
    public Object onRetainNonConfigurationInstance() {
        return run;
    }

    @Override
    protected void onDestroy() {
        run.watch(null);
        if (!isChangingConfigurations()) {
            run.stop();
        }
        super.onDestroy();
    }

    @Override
    public void onChange(CheckRun.State state) {
        sections.head(state.head, state.color);
        sections.progress(!state.isDone);
        sections.clear();
        sections.add(R.string.check_times, state.times);
        sections.add(R.string.check_lines, state.lines);
    }
}
