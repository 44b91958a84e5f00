/* Count an emulated program's instructions, by kind, from mark to mark.
 *
 * The worker calls getsid(BEGIN) before an inference and getsid(END) after it; at each, a line of totals is printed:
 * "begin 12 0 3 ...", one number for each kind in the order of `enum kind`. benchmarks/counting.py reads them.
 * One thread only: the totals are added to without a lock.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What is used of QEMU's plugin interface, version 1, as docs/devel/tcg-plugins describes it: Debian's qemu-user
 * holds the interface, but no package of Debian 12 holds its header. */
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*on_translation)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*on_system_call)(qemu_plugin_id_t, unsigned int vcpu, int64_t number, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, on_translation);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, on_system_call);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_outs(const char *);

EXPORT int qemu_plugin_version = 1;

enum { GETSID = 156, BEGIN = 0x7E570001, END = 0x7E570002 }; /* aarch64's number; the worker's marks */

enum kind { DOT_PRODUCT, VECTOR, MEMORY, OTHER, KINDS };

static uint64_t totals[KINDS];

/* By the tables "Encodings" of the A64 instruction set: the top-level groups, and SDOT and UDOT in both their forms. */
static enum kind kind_of(uint32_t code)
{
    if ((code & 0x9F20FC00) == 0x0E009400 || (code & 0x9F00F400) == 0x0F00E000) {
        return DOT_PRODUCT;
    }
    if ((code & 0x0E000000) == 0x0E000000) {
        return VECTOR; /* floats of a single number, too */
    }
    return (code & 0x0A000000) == 0x08000000 ? MEMORY : OTHER;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    uint64_t found[KINDS] = {0};
    (void)id;
    for (size_t at = 0; at < qemu_plugin_tb_n_insns(block); at++) {
        const uint32_t *code = qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, at));
        found[kind_of(*code)]++;
    }
    for (int kind = 0; kind < KINDS; kind++) {
        if (found[kind]) {
            qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &totals[kind], found[kind]);
        }
    }
}

static void called(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t mark, uint64_t b, uint64_t c,
                   uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    char line[KINDS * 21 + 8]; /* 20 digits each */
    int length;
    (void)id, (void)vcpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != GETSID || (mark != BEGIN && mark != END)) {
        return;
    }
    length = snprintf(line, sizeof line, mark == BEGIN ? "begin" : "end");
    for (int kind = 0; kind < KINDS; kind++) {
        length += snprintf(line + length, sizeof line - length, " %" PRIu64, totals[kind]);
    }
    snprintf(line + length, sizeof line - length, "\n");
    qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments)
{
    (void)info, (void)count, (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
