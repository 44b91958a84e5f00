import android.content.Context
import android.content.res.AssetManager
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import dermpack.skin.Contract
import dermpack.skin.EvidenceMap
import dermpack.skin.Metadata
import dermpack.skin.MetadataColumn
import dermpack.skin.Quality
import dermpack.skin.Result
import dermpack.skin.SelfCheck
import dermpack.skin.SkinClassifier
import dermpack.skin.Timing
import java.awt.image.BufferedImage
import java.io.File
import java.io.InputStream
import javax.imageio.ImageIO
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.tensorflow.lite.InterpreterApi
import org.tensorflow.lite.InterpreterFactoryImpl

/** Every public method from Kotlin, with the nullness that the annotations declare. */
class EveryMethodTest {
    private val assets = File(System.getProperty("bundle.assets"))
    private val context = Context(AssetManager(assets))
    private val file: ByteArray = File(assets, "skin/golden/turned-6.jpg").readBytes()

    @Test
    fun everyMethodIsUsable() {
        val variant: SkinClassifier.Variant = SkinClassifier.Variant.values()[0]
        SkinClassifier.open(context, variant, 2).use { classifier ->
            val contract: Contract = classifier.contract
            val texts: List<String> =
                listOf(contract.name, contract.version, contract.recipe, contract.intendedUse)
            assertTrue(texts.all { it.isNotEmpty() })
            val licence: String = contract.license
            assertEquals(licence.trim(), licence)
            val label: String = contract.labels[0]
            val meaning: String = contract.getMeaning(label)
            val notToMiss: List<String> = contract.labelsNotToMiss
            assertEquals(contract.thresholds.keys, notToMiss.toSet())
            assertTrue(meaning.isNotEmpty() && contract.size > 0 && contract.abstainBelow >= 0.0)

            val result: Result = classifier.classify(file)
            val answer: Result.Score? = result.answerOrNull
            assertTrue(answer == null || result.isSure && answer == result.top)
            val best: Result.Score = result.top(1)[0]
            assertEquals(result.scores[0], best)
            assertEquals(best.hashCode(), result.top.hashCode())
            assertTrue(best.meaning.isNotEmpty() && best.label in best.toString() && best.probability > 0)
            val refusal: String? = result.refusal
            val fault: Quality.Fault? = result.fault
            assertEquals(refusal == null, answer != null)
            assertTrue(fault == null || fault.text.isNotEmpty())
            assertEquals(result.isFamiliar, result.distance in 0.0..contract.unlikeAbove)
            val evidence: EvidenceMap? = result.evidence
            assertEquals(contract.hasEvidence(), evidence != null)
            evidence?.let { assertTrue(it.width * it.height > 0 && it.at(0, 0, 0).isFinite() && it.mean(0).isFinite()) }
            assertTrue(result.called.all { it.label in notToMiss })
            assertEquals(3 * contract.size * contract.size, result.pixels.size)
            val timing: Timing = result.timing
            assertTrue(timing.decodeMs >= 0 && timing.resizeMs >= 0 && timing.invokeMs >= 0)
            assertTrue("model" in timing.toString())

            val columns: List<MetadataColumn> = contract.metadataColumns
            for (column in columns) {
                val isValid = if (column.isNumeric) column.minimum <= column.maximum else column.categories.isNotEmpty()
                assertTrue(column.name, isValid)
            }
            assertEquals(result, classifier.classify(file, Metadata.blank()))
            val unknown: Metadata = Metadata.blank().with("shoe size", 42.0).with("sex", null)
            assertThrows(IllegalArgumentException::class.java) { classifier.classify(file, unknown) }

            val stream: InputStream = file.inputStream()
            assertEquals(result, classifier.classify(stream))
            assertEquals(result.hashCode(), classifier.classify(file).hashCode())
            assertTrue(result.toString().isNotEmpty())

            val checks: List<SelfCheck.Check> = classifier.selfCheck()
            assertTrue(checks.all { it.isPassed && it.name.isNotEmpty() && it.detail.isNotEmpty() })
            assertTrue(checks.toString().contains("PASS"))
            assertTrue(classifier.medianInvokeMs(3) > 0)
            assertFalse(classifier.isAccelerated)
        }
        assertEquals(SkinClassifier.readContract(context).name, SkinClassifier.open(context).use { it.contract.name })
    }

    @Test
    fun anAcceleratorThatAgreesIsUsed() {
        val options = InterpreterApi.Options().setNumThreads(2)
        SkinClassifier.openAccelerated(context, SkinClassifier.Variant.INT8, options).use { assertTrue(it.isAccelerated) }
        SkinClassifier.open(context, SkinClassifier.Variant.INT8, options).use { assertFalse(it.isAccelerated) }
    }

    @Test
    fun anAcceleratorThatFailsOrDiffersIsReplacedByTheCpu() {
        val before = InterpreterFactoryImpl.countOpen()
        for (fault in listOf("fails", "unlinked", "differs")) {
            System.setProperty("litert.fault", fault) // of the interpreter with 7 threads
            val options = InterpreterApi.Options().setNumThreads(7)
            try {
                SkinClassifier.openAccelerated(context, SkinClassifier.Variant.INT8, options).use {
                    assertFalse(it.isAccelerated)
                    assertEquals("the other one is closed", before + 1, InterpreterFactoryImpl.countOpen())
                    assertTrue(it.selfCheck().all { check -> check.isPassed })
                }
            } finally {
                System.clearProperty("litert.fault")
            }
            assertEquals(before, InterpreterFactoryImpl.countOpen())
        }
    }

    @Test
    fun aRotationGivesTheAnswerOfTheUprightPicture() {
        SkinClassifier.open(context).use { classifier ->
            val image = ImageIO.read(File(assets, "skin/golden/wide.png"))
            val upright = Bitmap(image)
            val wanted = classifier.classify(upright)
            var lying = image
            for (degrees in listOf(90, 180, 270)) {
                lying = turnedLeft(lying)
                assertEquals(wanted, classifier.classify(Bitmap(lying), degrees, Metadata.blank()))
            }
            assertEquals(wanted, classifier.classify(upright, 0))
            assertThrows(IllegalArgumentException::class.java) { classifier.classify(upright, 45) }
        }
    }

    @Test
    fun hardwareBitmapsAreCopiedAndLossyOnesRefused() {
        SkinClassifier.open(context).use { classifier ->
            val plain = bitmap("square.png")
            val wanted = classifier.classify(plain)
            assertEquals(wanted, classifier.classify(plain.copy(Bitmap.Config.HARDWARE, false)))
            for (config in listOf(Bitmap.Config.RGB_565, Bitmap.Config.ARGB_4444, Bitmap.Config.ALPHA_8)) {
                assertThrows(IllegalArgumentException::class.java) { classifier.classify(plain.copy(config, false)) }
            }
        }
    }

    @Test
    fun aClosedClassifierSaysSo() {
        val classifier = SkinClassifier.open(context)
        classifier.close()
        classifier.close()
        assertThrows(IllegalStateException::class.java) { classifier.classify(file) }
        assertThrows(IllegalStateException::class.java) { classifier.selfCheck() }
        assertThrows(IllegalStateException::class.java) { classifier.medianInvokeMs(1) }
    }

    @Test
    fun aCoroutineClassifiesOffTheMainThread() = runBlocking {
        SkinClassifier.open(context).use { classifier ->
            val result = withContext(Dispatchers.Default) { classifier.classify(file) }
            assertTrue(result.scores.isNotEmpty())
        }
    }

    private fun turnedLeft(image: BufferedImage): BufferedImage {
        val turned = BufferedImage(image.height, image.width, BufferedImage.TYPE_INT_RGB)
        for (x in 0 until image.width) {
            for (y in 0 until image.height) {
                turned.setRGB(y, image.width - 1 - x, image.getRGB(x, y))
            }
        }
        return turned
    }

    private fun bitmap(name: String): Bitmap {
        val data = File(assets, "skin/golden/$name").readBytes()
        return BitmapFactory.decodeByteArray(data, 0, data.size, BitmapFactory.Options())
    }
}
