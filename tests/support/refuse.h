/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_SUPPORT_REFUSE_H
#define TL_TESTS_SUPPORT_REFUSE_H

/*
 * Who was refused memory, and a countdown that all threads share.
 *
 * The linker puts a wrapper around tl_mem_new() and its like (--wrap) in every test, and in the
 * programs below tests/refused in the build tree, which are those that are installed but for this
 * wrapper. It notes each refusal, also one of tl_mem_fail_at(), which is the calling thread's.
 *
 * With TL_TORTURE_LOG=FOLDER each program writes there which calls were refused (scripts/torture
 * reads it). With TL_REFUSE=FILE the countdown stands in that file, which is mapped, so that a
 * test can wind up that of a program which runs: five 64-bit numbers as the machine has them,
 * the countdown, allocations asked for, those refused, where the last refused call is as
 * addr2line takes it, and at the end of the program the blocks that it has not given back.
 */

/* The k-th allocation from now in any thread fails (once); 0 switches it off. */
void tl_test_refuse_at(long k);

/* Allocations that were refused so far: in this thread, and in all. */
long tl_test_n_refused(void);
long tl_test_n_refused_anywhere(void);

/* The last refused call of any thread, where addr2line finds it in the program; 0: none. */
unsigned long tl_test_refused_at(void);

#endif
