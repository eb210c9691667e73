"""The components that ship: kind -> {name: ("module:Class", "one line")}. Data only; nothing here is imported."""

from __future__ import annotations

CATALOGUE: dict[str, dict[str, tuple[str, str]]] = {
    "generator": {
        "stylegan2": (
            "chunkygan.components.generators.stylegan2_files:stylegan2",
            "StyleGAN2 of any resolution and width, in plain PyTorch",
        ),
    },
    "discriminator": {
        "stylegan2": (
            "chunkygan.components.discriminators.stylegan2:StyleGAN2Discriminator",
            "StyleGAN2's residual discriminator, of any resolution and width",
        ),
        "projected": (
            "chunkygan.components.discriminators.projected:ProjectedDiscriminator",
            "small heads that judge the features of a frozen network; needs far fewer pictures",
        ),
    },
    "latent_space": {
        "w": ("chunkygan.components.latent_spaces.w:W", "one row of W for all layers"),
        "w_plus": ("chunkygan.components.latent_spaces.w_plus:WPlus", "one row of W for every layer"),
        "s": ("chunkygan.components.latent_spaces.s:S", "the channels that the affine layers give, toRGB included"),
    },
    "encoder": {
        "psp": ("chunkygan.components.encoders.psp:Psp", "pSp: codes of W+ in one pass, or of W"),
        "e4e": ("chunkygan.components.encoders.e4e:E4e", "e4e: codes near W in one pass, for edits"),
        "restyle": ("chunkygan.components.encoders.restyle:ReStyle", "ReStyle: codes corrected in a few passes"),
    },
    "inverter": {
        "encoder_init": (
            "chunkygan.components.inverters.encoder_init:EncoderInit",
            "an encoder's codes as the start of every chunk, then any other inverter",
        ),
        "hyperstyle": (
            "chunkygan.components.inverters.hyperstyle:HyperStyle",
            "changes of the generator's weights that a hypernetwork predicts in a few passes, around codes",
        ),
        "optimization": (
            "chunkygan.components.inverters.optimization:Optimization",
            "fits the codes of all chunks together by gradient descent",
        ),
        "pivotal_tuning": (
            "chunkygan.components.inverters.pivotal_tuning:PivotalTuning",
            "tunes a copy of the generator around codes, and keeps the small difference",
        ),
    },
    "mask_generator": {
        "single": ("chunkygan.components.mask_generators.single:Single", "one chunk: the whole image"),
        "painted": ("chunkygan.components.mask_generators.painted:Painted", "masks from picture files or an array"),
        "seghead": (
            "chunkygan.components.mask_generators.seghead:SegHeadMasks",
            "masks that a segmentation head gives for a mask code, which is fitted too",
        ),
    },
    "seg_head": {
        "datasetgan_mlp": (
            "chunkygan.components.seg_heads.datasetgan_mlp:DatasetGanMlp",
            "an ensemble of small classifiers of a generator's pixels",
        ),
    },
    "perceptual": {
        "lpips": ("chunkygan.components.perceptual.lpips:Lpips", "LPIPS with alex, vgg, squeeze or a domain's own"),
    },
    "identity": {
        "arcface": (
            "chunkygan.components.identity.arcface:ArcFace",
            "cosine of ArcFace IR-SE50 embeddings of aligned faces",
        ),
        "mobilefacenet": (
            "chunkygan.components.identity.mobilefacenet:MobileFaceNet",
            "cosine of MobileFaceNet embeddings of aligned faces",
        ),
        "domain": (
            "chunkygan.components.identity.domain:DomainIdentity",
            "cosine of the embeddings of a domain's own network",
        ),
    },
    "classifier": {
        "domain": ("chunkygan.components.classifiers.domain:DomainClassifier", "a domain's own attribute network"),
    },
    "parser": {
        "domain": ("chunkygan.components.parsers.domain:DomainParser", "a domain's own network for classes of pixels"),
    },
    "landmarks": {
        "dlib": ("chunkygan.components.landmarks.dlib_68:Dlib68", "dlib's face detector and its 68 landmarks"),
    },
    "blender": {
        "alpha": ("chunkygan.components.blenders.alpha:Alpha", "cross-fades by the mask"),
        "poisson": (
            "chunkygan.components.blenders.poisson:Poisson",
            "keeps the drawn gradients and the photo's colours, exactly, inside the mask only",
        ),
    },
    "edit": {
        "linear": ("chunkygan.components.edits.linear:Linear", "a step along a direction, or along channels of S"),
        "styleflow": (
            "chunkygan.components.edits.styleflow:StyleFlow",
            "attributes changed by a conditional flow, which bends with them",
        ),
    },
    "dataset": {
        "folder": ("chunkygan.components.datasets.folder:Folder", "the pictures of a folder, cut and resized"),
        "procfaces": ("chunkygan.components.datasets.procfaces:ProcFaces", "faces that a renderer draws"),
        "procfaces_people": (
            "chunkygan.components.datasets.procfaces_people:ProcFacesPeople",
            "people that a renderer draws, several pictures of each",
        ),
    },
}
