#include "sdk/context.h"

#include "base/check.h"

#include <stdint.h>

#if CONTEXT_IS_ASSEMBLY
void context_swap_stacks(void **here, void *there);
void context_first_steps(void);
#endif

#if CONTEXT_IS_ASSEMBLY && defined(__x86_64__)

/* The System V ABI keeps six registers and the control words of both floating point units across a call; the rest a
 * compiler saves around it by itself. */
__asm__(".text\n"
        ".hidden context_swap_stacks\n"
        ".globl context_swap_stacks\n"
        ".type context_swap_stacks, @function\n"
        "context_swap_stacks:\n" /* (void **here, void *there) */
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size context_swap_stacks, . - context_swap_stacks\n"
        ".hidden context_first_steps\n"
        ".globl context_first_steps\n"
        ".type context_first_steps, @function\n"
        "context_first_steps:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n" /* debuggers and sanitizers: nobody called this */
        "    movq %r12, %rdi\n"
        "    callq *%r13\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size context_first_steps, . - context_first_steps\n");

/* What context_swap_stacks finds on a stack, lowest address first. */
struct frame {
    uint32_t mxcsr;
    uint16_t x87_control, unused;
    uint64_t r15, r14, r13, r12, rbx, rbp;
    uint64_t return_address;
};

static void fill_frame(struct frame *frame, void (*start)(void *arg), void *arg)
{
    *frame = (struct frame){.r12 = (uintptr_t)arg, .r13 = (uintptr_t)start,
                            .return_address = (uintptr_t)context_first_steps};
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(frame->mxcsr), "=m"(frame->x87_control));
}

#elif CONTEXT_IS_ASSEMBLY && defined(__aarch64__)

/* AAPCS64 keeps x19 to x30, the low halves of v8 to v15, and the control word of the floating point unit. */
__asm__(".text\n"
        ".hidden context_swap_stacks\n"
        ".globl context_swap_stacks\n"
        ".type context_swap_stacks, %function\n"
        "context_swap_stacks:\n" /* (void **here, void *there) */
        "    sub sp, sp, #176\n"
        "    stp x19, x20, [sp]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mrs x9, fpcr\n"
        "    str x9, [sp, #160]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldr x9, [sp, #160]\n"
        "    msr fpcr, x9\n"
        "    ldp x19, x20, [sp]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    ret\n"
        ".size context_swap_stacks, . - context_swap_stacks\n"
        ".hidden context_first_steps\n"
        ".globl context_first_steps\n"
        ".type context_first_steps, %function\n"
        "context_first_steps:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n" /* debuggers and sanitizers: nobody called this */
        "    mov x0, x19\n"
        "    blr x20\n"
        "    brk #0\n"
        "    .cfi_endproc\n"
        ".size context_first_steps, . - context_first_steps\n");

/* What context_swap_stacks finds on a stack, lowest address first. */
struct frame {
    uint64_t x19_to_x28[10], x29, x30;
    uint64_t d8_to_d15[8];
    uint64_t fpcr, unused;
};

static void fill_frame(struct frame *frame, void (*start)(void *arg), void *arg)
{
    *frame = (struct frame){.x19_to_x28 = {(uintptr_t)arg, (uintptr_t)start}, .x30 = (uintptr_t)context_first_steps};
    __asm__ volatile("mrs %0, fpcr" : "=r"(frame->fpcr));
}

#endif

#if CONTEXT_IS_ASSEMBLY

dr_code context_prepare(struct context *context, void *stack, size_t stack_bytes, void (*start)(void *arg), void *arg)
{
    struct frame *frame = (struct frame *)((char *)stack + stack_bytes) - 1;
    _Static_assert(sizeof *frame % 16 == 0, "the stack must stay aligned");
    fill_frame(frame, start, arg);
    context->stack_pointer = frame;
    return DR_OK;
}

void context_switch(struct context *here, struct context *there)
{
    context_swap_stacks(&here->stack_pointer, there->stack_pointer);
}

#else

/* makecontext passes ints only, so pointers come in halves. */
static void first_steps(unsigned start_high, unsigned start_low, unsigned arg_high, unsigned arg_low)
{
    void (*start)(void *arg) = (void (*)(void *))(((uintptr_t)start_high << 16 << 16) | start_low);
    start((void *)(((uintptr_t)arg_high << 16 << 16) | arg_low));
}

dr_code context_prepare(struct context *context, void *stack, size_t stack_bytes, void (*start)(void *arg), void *arg)
{
    uintptr_t start_bits = (uintptr_t)start, arg_bits = (uintptr_t)arg;
    if (getcontext(&context->ucontext) != 0)
        return DR_INTERNAL;
    context->ucontext.uc_stack.ss_sp = stack;
    context->ucontext.uc_stack.ss_size = stack_bytes;
    context->ucontext.uc_link = NULL;
    makecontext(&context->ucontext, (void (*)(void))first_steps, 4, (unsigned)(start_bits >> 16 >> 16),
                (unsigned)start_bits, (unsigned)(arg_bits >> 16 >> 16), (unsigned)arg_bits);
    return DR_OK;
}

void context_switch(struct context *here, struct context *there)
{
    CHECK(swapcontext(&here->ucontext, &there->ucontext) == 0);
}

#endif
