/* embed.h; AGENT and WRAPPER are the files' paths. */
	.section .rodata

	.globl embed_agent, embed_agent_end, embed_wrapper, embed_wrapper_end
	.hidden embed_agent, embed_agent_end, embed_wrapper, embed_wrapper_end

	.balign 16
embed_agent:
	.incbin AGENT
embed_agent_end:

	.balign 16
embed_wrapper:
	.incbin WRAPPER
embed_wrapper_end:

	.section .note.GNU-stack, "", %progbits
