package dermpack.demo;

import android.content.ContentProvider;
import android.content.ContentValues;
import android.content.Context;
import android.database.Cursor;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import java.io.File;
import java.io.FileNotFoundException;

/** One file of the cache, for the camera app to write and for us to read. */
public final class PictureProvider extends ContentProvider {
    static final Uri URI = Uri.parse("content://dermpack.demo.picture/taken.jpg");

    @Override
    public boolean onCreate() {
        return true;
    }

    @Override
    public ParcelFileDescriptor openFile(Uri uri, String mode) throws FileNotFoundException {
        Context context = getContext();
        if (context == null || !URI.equals(uri)) {
            throw new FileNotFoundException(uri.toString());
        }
        return ParcelFileDescriptor.open(
                new File(context.getCacheDir(), "taken.jpg"), ParcelFileDescriptor.parseMode(mode));
    }

    @Override
    public String getType(Uri uri) {
        return "image/jpeg";
    }

    @Override
    public Cursor query(Uri uri, String[] columns, String where, String[] values, String order) {
        return null;
    }

    @Override
    public Uri insert(Uri uri, ContentValues values) {
        return null;
    }

    @Override
    public int delete(Uri uri, String where, String[] values) {
        return 0;
    }

    @Override
    public int update(Uri uri, ContentValues changes, String where, String[] values) {
        return 0;
    }
}
