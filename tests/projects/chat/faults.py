"""Faults of a chat model and of a batch."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

_UTILS = "transformers.utils.chat_template_utils"

FAULTS = (
    ProjectFault(
        "generation-prompt-left-out",
        "A rendered conversation does not end with the words that open the reply.",
        reference="huggingface/transformers#27926",
        patch=lambda: edited(
            f"{_UTILS}:render_jinja_template",
            (
                "rendered_chat = compiled_template.render(\n"
                "                messages=chat,\n"
                "                tools=tool_schemas,\n"
                "                documents=documents,\n"
                "                add_generation_prompt=add_generation_prompt,",
                "rendered_chat = compiled_template.render(\n"
                "                messages=chat,\n"
                "                tools=tool_schemas,\n"
                "                documents=documents,\n"
                "                add_generation_prompt=False,",
            ),
        ),
        test="test_reply",
        cause="chat-template",
    ),
    ProjectFault(
        "tools-left-out",
        "The template is rendered without the tools.",
        reference="huggingface/transformers#31100",
        patch=lambda: edited(
            f"{_UTILS}:render_jinja_template",
            ("tool_schemas = []\n", "tool_schemas, tools = [], []\n"),
        ),
        test="test_tool",
        cause="chat-template",
    ),
    ProjectFault(
        "padding-attended",
        "A shorter prompt of a batch attends to the padding on its left.",
        reference="huggingface/transformers#25284",
        patch=lambda: edited(
            "transformers.masking_utils:prepare_padding_mask",
            (
                "local_padding_mask = attention_mask\n",
                "if attention_mask is not None:\n"
                "        attention_mask = torch.ones_like(attention_mask)\n"
                "    local_padding_mask = attention_mask\n",
            ),
        ),
        test="test_two_conversations",
        cause="forward",
    ),
)
