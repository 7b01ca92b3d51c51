// 64-bit division in the place of the compiler's own, which is 780 bytes: __aeabi_uldivmod() of Arm's run-time ABI (IHI
// 0043, section 4.2), r1:r0 by r3:r2, the quotient in r1:r0 and the remainder in r3:r2.
//
// Almost all of ours divide by less than 2^16 (digits, seconds, slots of a ring). That is long division with digits of
// 16 bits, three times the processor's 32-bit one, and quicker than the compiler's. The rest goes bit by bit.

void __aeabi_uldivmod(void);
__attribute__((naked, used)) void __aeabi_uldivmod(void)
{
    __asm__("    cbnz r3, 3f              \n"
            "    cbz r1, 1f               \n"
            "    lsrs r12, r2, #16        \n"
            "    beq 2f                   \n"
            "    b 3f                     \n"
            "1:  udiv r3, r0, r2          \n" // both in 32 bits
            "    mls r2, r3, r2, r0       \n"
            "    mov r0, r3               \n"
            "    movs r3, #0              \n"
            "    bx lr                    \n"
            "2:  push {r4, r5}            \n" // a divisor of 16 bits
            "    udiv r4, r1, r2          \n"
            "    mls r1, r4, r2, r1       \n"
            "    lsls r1, r1, #16         \n"
            "    orr r1, r1, r0, lsr #16  \n"
            "    udiv r5, r1, r2          \n"
            "    mls r1, r5, r2, r1       \n"
            "    lsls r1, r1, #16         \n"
            "    uxth r0, r0              \n"
            "    orrs r1, r1, r0          \n"
            "    udiv r0, r1, r2          \n"
            "    mls r2, r0, r2, r1       \n"
            "    orr r0, r0, r5, lsl #16  \n"
            "    mov r1, r4               \n"
            "    pop {r4, r5}             \n"
            "    bx lr                    \n"
            "3:  push {r4, r5, r6, r7, lr}\n" // bit by bit: r5:r4 is the remainder so far
            "    movs r4, #0              \n"
            "    movs r5, #0              \n"
            "    mov r12, #64             \n"
            "4:  adds r0, r0, r0          \n"
            "    adcs r1, r1, r1          \n"
            "    adcs r4, r4, r4          \n"
            "    adcs r5, r5, r5          \n"
            "    bcs 5f                   \n" // 2^64 or more, so more than any divisor
            "    subs r6, r4, r2          \n"
            "    sbcs r6, r5, r3          \n"
            "    bcc 6f                   \n"
            "5:  subs r4, r4, r2          \n"
            "    sbcs r5, r5, r3          \n"
            "    adds r0, r0, #1          \n"
            "6:  subs r12, r12, #1        \n"
            "    bne 4b                   \n"
            "    mov r2, r4               \n"
            "    mov r3, r5               \n"
            "    pop {r4, r5, r6, r7, pc} \n");
}
