package dermpack.skin;

import java.io.File;
import java.io.IOException;
import java.util.Arrays;
import java.util.Locale;

/** Says of every picture of a folder what the module answers: a line a picture, for another program to compare. */
public final class Answers {
    private Answers() {}

    /** The one argument is the folder. */
    public static void main(String[] arguments) throws IOException {
        File[] pictures = new File(arguments[0]).listFiles();
        Arrays.sort(pictures);
        SkinClassifier classifier = SkinClassifier.open(Desk.context());
        for (File picture : pictures) {
            Result result = classifier.classify(Desk.bytes(picture));
            Result.Score top = result.getTop();
            System.out.println(String.format(
                    Locale.ROOT, "%s\t%s\t%s\t%.12f\t%s",
                    picture.getName(), top.getLabel(), result.isSure(), top.getProbability(), hex(classifier.answered())));
        }
        classifier.close();
    }

    private static String hex(byte[] bytes) {
        StringBuilder digits = new StringBuilder();
        for (byte part : bytes) {
            digits.append(String.format(Locale.ROOT, "%02x", part));
        }
        return digits.toString();
    }
}
