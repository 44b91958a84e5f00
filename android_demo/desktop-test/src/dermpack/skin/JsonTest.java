package dermpack.skin;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Arrays;
import org.junit.Test;

/** The little that we read of JSON, and all that we refuse. */
public final class JsonTest {
    @Test
    public void valuesOfEveryKindAreRead() {
        Json.Node root = Json.object(" {\"a\": [1, -2.5e3, true, false, null, \"\\u00e9\\n\\\"\"], \"b\": {}} ");
        assertEquals(1, root.get("a").items().get(0).whole());
        assertEquals(-2500.0, root.get("a").items().get(1).number(), 0);
        assertTrue(root.get("a").items().get(2).flag());
        assertTrue(root.get("a").items().get(4).isNull());
        assertEquals("é\n\"", root.get("a").items().get(5).text());
        assertTrue(root.get("b").members().isEmpty());
        assertNull(Json.read("null"));
    }

    @Test
    public void whatIsBrokenIsRefused() {
        char[] deep = new char[100];
        Arrays.fill(deep, '[');
        String[] broken = {
            "", "{", "[1,]", "{\"a\" 1}", "{\"a\": 1, \"a\": 2}", "\"", "\"\\", "\"\\u12\"", "\"\\uzzzz\"", "1 2", "tru", "-", "1.2.3",
            "{1: 2}", "[1 2]", "nul", "\"\\x\"", new String(deep)
        };
        for (String text : broken) {
            try {
                Json.read(text);
                fail("this is no JSON: " + text);
            } catch (IllegalArgumentException error) {
                assertTrue(error.getMessage().startsWith("JSON: "));
            }
        }
    }

    @Test
    public void aMessageNamesThePlace() {
        try {
            Json.object("{\"input\": {\"size\": [1, \"two\"]}}").get("input").get("size").items().get(1).number();
            fail("two is a text");
        } catch (IllegalArgumentException error) {
            assertEquals("input.size[1] is not a number", error.getMessage());
        }
    }
}
