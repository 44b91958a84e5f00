package dermpack.bundle;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Map;
import javax.imageio.ImageIO;

/** Runs the self-check of a bundle's assets on this JVM; the engine replays what Python's interpreter answered.
 *
 * <p>Arguments: the folder, and the name of the contract in it. */
public final class ReplayCheck {
    private ReplayCheck() {}

    public static void main(String[] arguments) throws IOException {
        final Path assets = Paths.get(arguments[0]);
        FileSource files = new FileSource() {
            @Override
            public byte[] read(String name) throws IOException {
                return Files.readAllBytes(assets.resolve(name));
            }
        };
        String record = arguments.length > 1 ? arguments[1] : "model.json";
        String text = new String(files.read(record), StandardCharsets.UTF_8);
        Contract contract = Contract.read(text);
        PictureClassifier classifier = new PictureClassifier(contract, new Replay(files, contract));
        for (SelfCheck.Check check : SelfCheck.run(classifier, files, new Decoder() {
            @Override
            public Raster decode(byte[] file, int size) throws IOException {
                return raster(ImageIO.read(new ByteArrayInputStream(file)));
            }
        })) {
            System.out.println(check);
        }
    }

    private static Raster raster(final BufferedImage image) {
        return new Raster() {
            @Override
            public int getWidth() {
                return image.getWidth();
            }

            @Override
            public int getHeight() {
                return image.getHeight();
            }

            @Override
            public void read(int[] into, int left, int top, int width, int height) {
                image.getRGB(left, top, width, height, into, 0, width);
            }
        };
    }

    /** Answers the bytes that went in, by their hash in golden.json, with the bytes that came out in Python. */
    private static final class Replay implements Engine {
        private final FileSource files;
        private final Contract contract;

        Replay(FileSource files, Contract contract) {
            this.files = files;
            this.contract = contract;
        }

        @Override
        public void run(Map<String, ByteBuffer> inputs, Map<String, ByteBuffer> outputs) {
            String picture = sha256(inputs.get(contract.getInput().getName()));
            Tensor known = contract.metadataInput();
            String metadata = known == null ? "" : sha256(inputs.get(known.getName()));
            try {
                String golden = new String(files.read("golden/golden.json"), StandardCharsets.UTF_8);
                for (Json.Node vector : Json.object(golden).get("vectors").items()) {
                    Json.Node expected = vector.get("expected").get(contract.getRecipe());
                    if (expected.get("fed_sha256").text().equals(picture)
                            && expected.get("fed_metadata_sha256").text().equals(metadata)) {
                        answer(expected, outputs.get(contract.getOutput().getName()));
                        for (Map.Entry<String, Json.Node> other : expected.get("more").members().entrySet()) {
                            answer(other.getValue(), outputs.get(other.getKey()));
                        }
                    }
                }
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }

        private void answer(Json.Node expected, ByteBuffer out) throws IOException {
            out.put(files.read("golden/" + expected.get("output").text()));
            Tensor.start(out);
        }

        private static String sha256(ByteBuffer fed) {
            byte[] bytes = new byte[fed.capacity()];
            fed.duplicate().get(bytes);
            return sha256(bytes);
        }

        private static String sha256(byte[] data) {
            try {
                StringBuilder digits = new StringBuilder();
                for (byte part : java.security.MessageDigest.getInstance("SHA-256").digest(data)) {
                    digits.append(String.format("%02x", part));
                }
                return digits.toString();
            } catch (java.security.NoSuchAlgorithmException error) {
                throw new IllegalStateException(error);
            }
        }

        @Override
        public void close() {}
    }
}
