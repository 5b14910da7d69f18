"""
All that a notebook's own HTML, CSS and MathML may hold on the page: what is not named here is dropped.

Read by ``clean.py``, ``styles.py`` and ``formulas.py``.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


HTML_TAGS = _names("""
    a abbr address article aside b bdi blockquote br caption center cite code col colgroup dd del details dfn div dl
    dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img input ins kbd label li mark meter nav ol p
    pre progress q rp rt ruby s samp section small span strike strong sub summary sup table tbody td tfoot th thead
    time tr tt u ul var wbr
""")
HTML_ATTRIBUTES = _names("""
    align alt bgcolor checked class color colspan dir disabled for headers height high lang low max min open optimum
    rowspan scope span start style title type valign value width
""")
_SIDES = ("top", "right", "bottom", "left")
CSS_COLOURS = _names("background background-color background-image color")
_CSS_PLAIN = _names("""
    accent-color align-content align-items align-self aspect-ratio background-clip background-origin
    background-position background-repeat background-size border border-collapse border-color border-radius
    border-spacing border-style border-width bottom box-shadow box-sizing caption-side clear clip-path column-gap
    content cursor direction display empty-cells fill flex flex-basis flex-direction flex-flow flex-grow flex-shrink
    flex-wrap float font font-family font-size font-style font-variant font-variant-numeric font-weight gap
    grid-area grid-auto-columns grid-auto-flow grid-auto-rows grid-column grid-column-end grid-column-start grid-gap
    grid-row grid-row-end grid-row-start grid-template grid-template-areas grid-template-columns grid-template-rows
    height inset justify-content justify-items justify-self left letter-spacing line-height list-style-position
    list-style-type margin max-height max-width min-height min-width opacity order outline outline-color
    outline-offset outline-style outline-width overflow overflow-wrap overflow-x overflow-y padding place-content
    place-items place-self position right row-gap stroke stroke-width tab-size table-layout text-align
    text-decoration text-indent text-overflow text-shadow text-transform top transform transform-origin
    vertical-align visibility white-space width word-break word-spacing word-wrap z-index
""")
CSS_PROPERTIES = (
    CSS_COLOURS
    | _CSS_PLAIN
    | {f"{kind}-{side}" for kind in ("margin", "padding", "border") for side in _SIDES}
    | {f"border-{side}-{part}" for side in _SIDES for part in ("color", "style", "width")}
    | {f"border-{end}-{side}-radius" for end in ("top", "bottom") for side in ("left", "right")}
)
CSS_FUNCTIONS = _names("""
    calc circle clamp color-mix conic-gradient ellipse fit-content hsl hsla hwb inset lab lch linear-gradient max
    min minmax oklab oklch polygon radial-gradient repeat repeating-conic-gradient repeating-linear-gradient
    repeating-radial-gradient rgb rgba rotate scale scalex scaley skew skewx skewy translate translatex translatey
    var
""")
MATHML_ELEMENTS = _names("""
    math menclose merror mfenced mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms
    mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none
""")
MATHML_ATTRIBUTES = _names("""
    accent accentunder close columnalign columnlines columnspacing columnspan depth dir display displaystyle fence
    form frame height largeop linebreak linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize
    minsize movablelimits notation open rowalign rowlines rowspacing rowspan rspace scriptlevel separator separators
    stretchy symmetric voffset width
""")
