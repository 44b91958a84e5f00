package dermpack.skin;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;
import org.junit.Test;

/** What model.json says, and what follows from it for numbers, labels and "not sure". */
public final class ContractTest {
    private static final String JSON = "{\"schema\": 1, \"name\": \"lesions\", \"version\": \"1\","
            + " \"recipe\": {\"name\": \"int8\"}, \"license\": \"CC0\", \"intended_use\": \"research\","
            + " \"labels\": [\"akiec\", \"mel\", \"nv\"],"
            + " \"input\": {\"width\": 32, \"dtype\": \"uint8\", \"scale\": 0.007843137718737125, \"zero_point\": 127,"
            + " \"mean\": 127.5, \"std\": 127.5, \"policy\": \"centre-square-1\"},"
            + " \"output\": {\"dtype\": \"uint8\", \"scale\": 0.00390625, \"zero_point\": 0,"
            + " \"activation\": \"softmax\", \"temperature\": {\"value\": 1.25, \"floor\": 0.001953125}},"
            + " \"abstention\": {\"threshold\": 0.6}, \"thresholds\": [{\"label\": \"mel\", \"threshold\": 0.3}]}";

    @Test
    public void theBundlesOwnContractIsRead() throws IOException {
        Contract contract = Contract.read(new String(Desk.asset("model.json"), "UTF-8"));
        assertEquals(contract.getSize() * contract.getSize() * 3, contract.getInput().getSizeBytes());
        contract.checkLabels(new String(Desk.asset("labels.txt"), "UTF-8"));
    }

    @Test
    public void aModelWithoutTemperatureAndAbstentionAlwaysAnswersAsItIs() {
        String plain = JSON.replace("{\"value\": 1.25, \"floor\": 0.001953125}", "null")
                .replace("{\"threshold\": 0.6}", "null");
        Contract contract = Contract.read(plain);
        double[] found = Scorer.probabilities(contract, new double[] {0, 0.4, 0.6});
        assertArrayEquals(new double[] {0, 0.4, 0.6}, found, 0);
        assertTrue(result(contract, new double[] {0.3, 0.3, 0.4}).isSure());
    }

    @Test
    public void aRefusalNamesWhatCanBeDoneFirst() {
        Contract contract = Contract.read(JSON);
        double[] unsure = {0.3, 0.3, 0.4};
        Quality.Fault blurred = Quality.Fault.BLURRED;
        Timing none = new Timing(0, 0, 0);
        Result result = new Result(scores(), scores(), false, new byte[0], 3.0, false, blurred, none, null);
        assertEquals("too blurred", result.getRefusal());
        result = new Result(scores(), scores(), false, new byte[0], 3.0, false, null, none, null);
        assertEquals("unlike the pictures this model was trained on", result.getRefusal());
        assertEquals("not sure", result(contract, unsure).getRefusal());
        assertNull(result(contract, new double[] {0.1, 0.2, 0.7}).getRefusal());
    }

    @Test
    public void aNumberBelowZeroIsNotADistance() {
        double[] likely = {0.1, 0.2, 0.7};
        assertTrue(result(contract(), likely, 9).isFamiliar()); // this contract has no threshold
        for (double distance : new double[] {-0.001, -1e9, Double.NaN}) {
            assertFalse(result(contract(), likely, distance).isFamiliar());
        }
    }

    private static List<Result.Score> scores() {
        return Collections.singletonList(new Result.Score("nv", "nv", 0.4));
    }

    @Test
    public void anotherModelsLabelsAreRefused() {
        try {
            contract().checkLabels("nv\nmel\nakiec\n");
            fail("these are in another order");
        } catch (IllegalArgumentException error) {
            assertTrue(error.getMessage().startsWith("labels.txt: "));
        }
    }

    @Test
    public void whatIsMissingIsNamed() {
        try {
            Contract.read(JSON.replace("uint8", "int4"));
            fail("there is no int4");
        } catch (IllegalArgumentException error) {
            assertEquals("dtype is int4, none of uint8, int8, float32", error.getMessage());
        }
    }

    @Test
    public void aBufferOfAnotherSizeIsRefusedWithTypeAndBytes() {
        Tensor input = contract().getInput();
        try {
            input.checkBytes(1);
            fail("one byte is no picture");
        } catch (IllegalArgumentException error) {
            assertTrue(error.getMessage(), error.getMessage().contains("1 bytes, expected " + input.getSizeBytes()));
            assertTrue(error.getMessage(), error.getMessage().contains("uint8"));
        }
    }

    @Test
    public void rawPixelsGoInAsTheyAre() {
        assertArrayEquals(new byte[] {0, 127, -1}, fed(new Tensor("input", NumberType.UINT8, 3, 1 / 127.5, 127)));
        assertArrayEquals(new byte[] {-128, -1, 127}, fed(new Tensor("input", NumberType.INT8, 3, 1 / 127.5, -1)));
    }

    @Test
    public void otherStepsAreRoundedToTheNearest() {
        assertArrayEquals(new byte[] {-64, 0, 64}, fed(new Tensor("input", NumberType.INT8, 3, 1 / 64.0, 0)));
    }

    @Test
    public void outputsMeanProbabilities() {
        Tensor output = new Tensor("output", NumberType.UINT8, 3, 1 / 256.0, 0);
        ByteBuffer raw = output.newBuffer();
        raw.put(new byte[] {0, (byte) 128, (byte) 255});
        assertArrayEquals(new double[] {0, 0.5, 255 / 256.0}, output.real(raw), 0);
    }

    @Test
    public void aTemperatureSoftensAndItsFloorHolds() {
        Contract contract = contract();
        double[] found = Scorer.probabilities(contract, new double[] {0, 0.25, 0.75});
        double floor = Math.pow(1 / 512.0, 1 / 1.25);
        double sum = floor + Math.pow(0.25, 1 / 1.25) + Math.pow(0.75, 1 / 1.25);
        assertEquals(floor / sum, found[0], 1e-12);
        assertEquals(Math.pow(0.75, 1 / 1.25) / sum, found[2], 1e-12);
    }

    @Test
    public void belowTheThresholdItIsNotSure() {
        Contract contract = contract();
        Result unsure = result(contract, new double[] {0.1, 0.59, 0.31});
        Result sure = result(contract, new double[] {0.1, 0.6, 0.3});
        assertFalse(unsure.isSure());
        assertTrue(sure.isSure());
        assertEquals("mel", sure.getTop().getLabel());
        assertEquals(1, sure.getCalled().size());
        assertTrue(result(contract, new double[] {0.71, 0.29, 0}).getCalled().isEmpty());
    }

    @Test
    public void equalProbabilitiesKeepTheOrderOfTheLabels() {
        Result result = result(contract(), new double[] {0.4, 0.2, 0.4});
        assertEquals("akiec", result.getTop().getLabel());
        assertEquals(2, result.top(2).size());
        assertEquals("nv", result.top(2).get(1).getLabel());
        assertEquals(3, result.top(9).size());
    }

    @Test
    public void aLabelMeansItsWordsOrItself() {
        String json = JSON.replace("\"labels\":", "\"meanings\": {\"mel\": \"melanoma\"}, \"labels\":");
        Contract contract = Contract.read(json);
        assertEquals("melanoma", contract.getMeaning("mel"));
        assertEquals("nv", contract.getMeaning("nv"));
        assertEquals("mel", contract().getMeaning("mel"));
        assertEquals("melanoma", result(contract, new double[] {0, 1, 0})
                .getTop().getMeaning());
        assertEquals(1, contract.getLabelsNotToMiss().size());
    }

    @Test
    public void aSigmoidIsTheSecondOfTwoLabels() {
        String json = JSON.replace("softmax", "sigmoid")
                .replace("[\"akiec\", \"mel\", \"nv\"]", "[\"no\", \"mel\"]")
                .replace("1.25", "1.0");
        double[] found = Scorer.probabilities(Contract.read(json), new double[] {0.75});
        assertArrayEquals(new double[] {0.25, 0.75}, found, 1e-12);
    }

    private static byte[] fed(Tensor input) {
        ByteBuffer into = input.newBuffer();
        double[] middle = {127.5, 127.5, 127.5};
        input.feed(new byte[] {0, 127, -1}, middle, middle, false, into);
        byte[] bytes = new byte[3];
        into.get(bytes);
        return bytes;
    }

    private static Contract contract() {
        return Contract.read(JSON);
    }

    /** The answer with these probabilities, for a picture without faults. */
    private static Result result(Contract contract, double[] probabilities) {
        return result(contract, probabilities, 0);
    }

    private static Result result(Contract contract, double[] probabilities, double distance) {
        return Scorer.result(contract, probabilities, distance, null, new byte[0], new Timing(0, 0, 0), null);
    }
}
