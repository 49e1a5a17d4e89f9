"""Words with a meaning of their own in an answer: yes and no, skipping, giving up, asking again."""


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split("|"))


YES = _phrases(
    "yes|y|yep|yeah|yea|yup|ya|yess|sure|sure thing|of course|certainly|absolutely|definitely|correct|right|ok|okay|k"
    "|okey|confirm|confirmed|i confirm|agreed|agree|i agree|fine|good|great|perfect|exactly|true|affirmative|go ahead"
    "|do it|please do|sounds good|looks good|look good|all good|that's right|thats right|that is right|that's correct"
    "|thats correct|that is correct|it is|it's right|it's correct|all right|alright|uh huh|mhm|you bet|why not|gladly"
    "|no problem|nothing to change|no changes|no change|leave it|it's fine|that's fine"
    "|si|sí|oui|ja|sim|haan|han|हाँ|हां|जी|да|نعم|ايوه|بله|evet|tak|はい|是|好|好的|对|네|예|ใช่|vâng|dạ|sì|ναι|כן|👍|✅|👌"
)
NO = _phrases(
    "no|n|nope|nah|no thanks|no thank you|not|never|negative|wrong|incorrect|not right|not correct|that's wrong"
    "|thats wrong|that is wrong|it's wrong|that's not right|that's not correct|not really|not yet|not at all|don't|dont"
    "|i don't|do not|i do not|disagree|false|nothing|none|change|change it|something|change something"
    "|nein|non|não|nao|nahi|nahin|nee|нет|لا|नहीं|नही|yok|hayır|hayir|nie|いいえ|不|不是|不对|아니요|아니|ไม่|không|όχι|לא|👎|❌"
)
# Of these, what is no answer yet where more words follow: "good morning", "not sure".
UNCLEAR = frozenset(
    _phrases(
        "not|right|good|great|fine|k|y|n|never|none|nothing|ya|change|it is|something|tak|si|han|ja|no problem|yok|nie"
    )
)
SKIP = _phrases(
    "skip|skip it|skip that|skip this|pass|none|no|nope|no thanks|no thank you|nothing|n/a|na|i don't have one"
    "|don't have one|i don't have any|don't have any|rather not|i'd rather not|prefer not to say|i'd rather not say"
    "|not needed|next"
)
CANCEL = _phrases(
    "cancel|cancel it|cancel that|cancel this|cancel my order|cancel the order|cancel everything|never mind|nevermind"
    "|forget it|forget about it|abort|stop it|i changed my mind|i don't want it"
    "|forget the whole thing|forget everything|forget the order|forget all of it|scrap it|scrap that|scrap everything"
    "|scrap the order|scrap the whole thing|drop it|i don't want this|i don't want it anymore|i don't need it anymore"
    "|not interested|no longer interested|i am not interested|i'm not interested"
)
# What takes a yes back: "yes, but change the quantity".
BUT = _phrases(
    "but|change|except|however|not|wrong|instead|only|also|add|remove|without|more|less|fewer|rather|different|other|wait"
    "|update|correct the|though|first|until|if|unless|make it|make that"
)
AGAIN = _phrases(
    "again|repeat|repeat that|repeat please|say again|say that again|once more|pardon|pardon me|come again|what|huh"
    "|what did you say|sorry|excuse me|i don't understand|can you repeat|can you repeat that|could you repeat that"
)
# What begins a sentence of another kind than a name.
NO_NAMES = frozenset(
    _phrases(
        "a|an|the|yes|no|yep|nope|ok|okay|sure|what|why|how|when|where|who|which|do|does|did|can|could|will|would|should"
        "|is|are|was|of|not|none|nothing|nobody|never|skip|help|hello|hi|hey|thanks|thank|please|sorry|stop|cancel|so"
        "|just|very|really|interested|looking|trying|calling|here|there|from|at|in|on|to|for|with|about|it|that|this|we"
        "|you|they|and|or|but|if|because|my|your|i|idk|dunno|wrong|right|correct|change|back|repeat|pardon|maybe|later"
        "|now|today|tomorrow|order|want|need|like|have|hm|hmm|huh|eh|um|uh|blah|good|great|fine|again|remove|add"
        "|drop|delete|make|set|update|actually|wait|edit|replace|fix|let|get|give|take|send|put|more|less|also"
        "|forget|scrap|ditch|leave|call|tell|lol|haha|gonna|don't|dont|won't|can't|cannot|isn't|changed|did not|didn't"
        "|any|anytime|anyone|whenever|time|noon|midday|tonight|morning|afternoon|evening|next|see|skip"
    )
)
# What a name in small letters keeps small.
PARTICLES = frozenset(_phrases("de|da|del|della|di|der|den|van|von|la|le|al|el|bin|ibn|bint|dos|das|du|y|e"))
